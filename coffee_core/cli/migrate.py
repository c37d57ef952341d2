"""`coffee migrate`: the only way in which a schema changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from coffee_core.cli.composition import find_modules
from coffee_core.domain.errors import CoffeeError
from coffee_core.messaging.tables import FRAMEWORK
from coffee_core.persistence.migrations import runner
from coffee_core.persistence.migrations.runner import History, HistoryStatus
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.stores.clickhouse import migrations as clickhouse
from coffee_core.stores.clickhouse.connection import Connection
from coffee_core.stores.clickhouse.migrations import Version
from coffee_core.stores.clickhouse.settings import ClickHouseSettings

app = typer.Typer(help="Migrate the database: up (the default), down, status, sql.")


def histories() -> list[History]:
    """The framework's, then those of the installed modules, by name."""
    modules = find_modules()
    return [FRAMEWORK, *(History(m.name, m.migrations) for m in modules if m.migrations is not None)]


def _one(name: str) -> History:
    known = {history.name: history for history in histories()}
    if name not in known:
        raise CoffeeError(f"there is no {name!r}; there are {', '.join(known)}")
    return known[name]


def _url() -> str:
    url = DatabaseSettings().url.get_secret_value()
    if not url:
        raise CoffeeError("COFFEE_DATABASE_URL is not set: name the PostgreSQL to migrate")
    return url


@app.callback(invoke_without_command=True)
def migrate(context: typer.Context) -> None:
    """Without a command: up."""
    if context.invoked_subcommand is None:
        up()


@app.command()
def up() -> None:
    """Apply what is pending. A second runner waits for the first."""
    applied = asyncio.run(_up())
    print(f"{applied} versions applied" if applied else "nothing to do: every history is at its newest version")


async def _up() -> int:
    url, found = _url(), histories()
    applied = await runner.upgrade(url, found, print)
    async with _clickhouse() as connection:
        if connection is not None:
            async with runner.alone(url, print):
                return applied + await clickhouse.upgrade(connection, found, print)
        waiting = [history.name for history in found if clickhouse.versions(history)]
    if waiting:
        print(f"ClickHouse: COFFEE_CLICKHOUSE_URL is not set, so the tables of {', '.join(waiting)} there have to wait")
    return applied


@asynccontextmanager
async def _clickhouse() -> AsyncIterator[Connection | None]:
    settings = ClickHouseSettings()
    if not settings.url.get_secret_value():
        yield None
        return
    connection = Connection(settings)
    try:
        yield connection
    finally:
        await connection.close()


@app.command()
def down(
    module: Annotated[str, typer.Argument(help="The history to take back, for example profile_collection.")],
    to: Annotated[str, typer.Option(help="A version, -1 for one step, or base for all.")] = "-1",
) -> None:
    """Take versions of one module back. Data in dropped tables and columns is lost."""
    asyncio.run(runner.downgrade(_url(), _one(module), to, print))


@app.command()
def status() -> None:
    """Where every history stands; exits with 1 while something is pending."""
    found, waiting = asyncio.run(_status())
    width = max(len(one.name) for one in found)
    for one in found:
        rest = f"pending: {', '.join(one.pending)}" if one.pending else "newest"
        print(f"{one.name:{width}}  {one.current or '-':8}  {rest}")
    for version in waiting:
        print(f"{version.history} (ClickHouse)  pending: {version.path.stem}")
    if waiting or any(one.pending for one in found):
        raise typer.Exit(1)


async def _status() -> tuple[list[HistoryStatus], list[Version]]:
    found = histories()
    async with _clickhouse() as connection:
        waiting = [] if connection is None else await clickhouse.pending(connection, found)
    return await runner.status(_url(), found), waiting


@app.command()
def sql(module: Annotated[str, typer.Argument(help="The history to write out.")]) -> None:
    """Print the statements of a whole history; nothing is run."""
    print(runner.sql(_one(module)))
