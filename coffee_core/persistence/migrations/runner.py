"""Runs alembic for modules: one runner at a time, one transaction for each version, never at the start of a process."""

from __future__ import annotations

import io
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import ResolutionError
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from coffee_core.domain.errors import CoffeeError, UnavailableError

LOCK = 0x0C0FFEE
"""Key of the PostgreSQL advisory lock that a runner holds."""

Say = Callable[[str], None]


class History(NamedTuple):
    """One line of versions. `name` is the PostgreSQL schema, `package` holds files like `0001_name.py`."""

    name: str
    package: str


class HistoryStatus(NamedTuple):
    """Its version in the database (None: nothing applied), its newest one, and what lies between."""

    name: str
    current: str | None
    newest: str | None
    pending: tuple[str, ...]


def _folder(history: History) -> Path:
    spec = find_spec(history.package)
    if spec is None or not spec.submodule_search_locations:
        raise CoffeeError(f"{history.name}: there is no package {history.package} to hold its migrations")
    return Path(spec.submodule_search_locations[0])


def _config(history: History, connection: Connection | None = None, out: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=out)
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("version_locations", str(_folder(history)).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(schema=history.name, connection=connection)
    return config


def _script(history: History) -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(history))


def keeps_tables(history: History) -> bool:
    """Whether it has versions for PostgreSQL; a module may keep everything in ClickHouse."""
    return _script(history).get_current_head() is not None


async def _connection(url: str) -> asyncpg.Connection:
    """Refused here, before SQLAlchemy makes an error of its own of it. Texts that may repeat the URL are left out."""
    try:
        return await asyncpg.connect(url, timeout=10)
    except asyncpg.PostgresError as error:
        raise UnavailableError(f"the database refuses the connection: {error}") from error
    except (asyncpg.InterfaceError, ValueError) as error:
        raise CoffeeError("COFFEE_DATABASE_URL cannot be read: postgresql://user:password@host:5432/name") from error


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: _connection(url), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            yield connection
    except (OSError, asyncpg.PostgresConnectionError, TimeoutError) as error:
        raise UnavailableError(f"the database does not answer: {type(error).__name__}") from error
    finally:
        await engine.dispose()


def _current(connection: Connection, history: History) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table_schema": history.name})
    heads = context.get_current_heads()
    if len(heads) > 1:
        raise CoffeeError(f"{history.name} stands at several versions: {', '.join(heads)}")
    return heads[0] if heads else None


def _status(connection: Connection, history: History) -> HistoryStatus:
    script, current = _script(history), _current(connection, history)
    try:
        between = [one.revision for one in script.iterate_revisions("heads", current or "base")]
    except (CommandError, ResolutionError) as error:
        raise CoffeeError(
            f"{history.name} stands at version {current}, which this installation does not know: it is older"
        ) from error
    return HistoryStatus(history.name, current, script.get_current_head(), tuple(reversed(between)))


async def status(url: str, histories: Sequence[History]) -> list[HistoryStatus]:
    """Where each history stands."""
    async with _connected(url) as connection:
        return [await connection.run_sync(_status, history) for history in histories]


async def pending(url: str, histories: Sequence[History]) -> list[str]:
    """`name: version` of everything that is not applied: the startup probe is red until this is empty."""
    return [f"{one.name}: {version}" for one in await status(url, histories) for version in one.pending]


@asynccontextmanager
async def alone(url: str, say: Say) -> AsyncIterator[AsyncConnection]:
    """Connected, and the only runner on this database."""
    async with _connected(url) as connection:
        if not await connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK}):
            say("another runner is at work on this database: waiting for it")
            await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
        await connection.commit()
        try:
            yield connection
        finally:
            await connection.rollback()
            await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})
            await connection.commit()


def _upgrade(connection: Connection, history: History) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        command.upgrade(_config(history, connection), "head")


def _downgrade(connection: Connection, history: History, target: str) -> None:
    command.downgrade(_config(history, connection), target)


async def upgrade(url: str, histories: Sequence[History], say: Say) -> int:
    """Apply what is pending, history after history; answers how many versions were applied.

    A version that fails is rolled back and stops the run; those before it stay.
    """
    applied = 0
    async with alone(url, say) as connection:
        for history in histories:
            before = await connection.run_sync(_status, history)
            await connection.commit()
            if not before.pending:
                continue
            await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{history.name}"'))
            await connection.commit()
            say(f"{history.name}: {', '.join(before.pending)}")
            await connection.run_sync(_upgrade, history)
            await connection.commit()
            applied += len(before.pending)
    return applied


async def downgrade(url: str, history: History, target: str, say: Say) -> None:
    """Take versions back, to `target` (`-1` for one step, `base` for all)."""
    if not keeps_tables(history):
        say(f"{history.name}: keeps nothing in PostgreSQL")
        return
    async with alone(url, say) as connection:
        say(f"{history.name}: down to {target}")
        try:
            await connection.run_sync(_downgrade, history, target)
        except CommandError as error:
            raise CoffeeError(f"{history.name}: {error}") from error
        await connection.commit()


def sql(history: History) -> str:
    """The statements of a whole history, for a database administrator; nothing is run."""
    if not keeps_tables(history):
        return f"-- {history.name} keeps nothing in PostgreSQL\n"
    out = io.StringIO()
    command.upgrade(_config(history, out=out), "head", sql=True)
    return f'CREATE SCHEMA IF NOT EXISTS "{history.name}";\n\n{out.getvalue()}'
