"""`coffee check`: for a pipeline, before a release. Each finding says what to change, and any of them is status 1."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import SecretStr

from coffee_core.cli.check.contract import breaking
from coffee_core.cli.check.decisions import undecided, without_migrations, without_versions
from coffee_core.cli.check.indexes import unindexed
from coffee_core.cli.check.tables import drift, read_catalog
from coffee_core.cli.composition import Composition, compose, find_modules
from coffee_core.cli.serving import application
from coffee_core.domain.errors import CoffeeError
from coffee_core.embedded.errors import EmbeddedServerError
from coffee_core.embedded.fresh_database import fresh_database
from coffee_core.embedded.servers import Servers
from coffee_core.http.openapi.document import document
from coffee_core.messaging.tables import FRAMEWORK
from coffee_core.persistence.migrations import runner
from coffee_core.persistence.migrations.runner import History
from coffee_core.persistence.settings import DatabaseSettings


def check(
    against: Annotated[
        Path | None, typer.Option(help="A description that `coffee openapi` wrote: changes that break its callers.")
    ] = None,
    module: Annotated[list[str] | None, typer.Option("--module", help="This module alone; may be repeated.")] = None,
    tables: Annotated[
        bool,
        typer.Option(
            help="Hold the Entities against the tables: of COFFEE_DATABASE_URL, or migrated on an embedded one."
        ),
    ] = True,
) -> None:
    """Find what should not be released: broken contracts, routes without a plan, missing migrations and indexes."""
    modules = find_modules(module or ())
    composed = compose(modules, database=DatabaseSettings(url=SecretStr("postgresql:///")))
    mounts = application(composed).router.mounts
    found: list[str] = []
    if against is not None:
        found += breaking(_read(against), document(mounts))
    found += undecided(mounts)
    found += without_migrations(modules, composed.container.resources)
    if tables:
        found += asyncio.run(_tables(composed))
    for sentence in found:
        typer.echo(sentence)
    if found:
        typer.echo(f"{len(found)} to change", err=True)
        raise typer.Exit(1)
    typer.echo("nothing to change")


def _read(path: Path) -> dict[str, Any]:  # Any: parsed JSON
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise CoffeeError(f"{path} cannot be read as an API description: {error}") from None
    if not isinstance(found, dict) or "paths" not in found:
        raise CoffeeError(f"{path} is no API description: write one with `coffee openapi --output {path}`")
    return found


async def _tables(composed: Composition) -> list[str]:
    histories = [FRAMEWORK, *(History(m.name, m.migrations) for m in composed.modules if m.migrations is not None)]
    resources = composed.container.resources
    schemas = sorted({history.name for history in histories})
    async with _migrated(histories) as url:
        statuses = await runner.status(url, histories)
        catalog = await read_catalog(url, schemas)
    pending = [f"{one.name}: {version} is not applied" for one in statuses for version in one.pending]
    if pending:
        return [*pending, "run `coffee migrate`, and check again"]
    kept = [(entry, entity) for entry, entity in resources if entity.__table__.schema in schemas]
    indexes = unindexed(kept, catalog.indexes, trigrams=catalog.trigrams)
    return [*without_versions(statuses, histories), *drift(kept, catalog), *indexes]


@asynccontextmanager
async def _migrated(histories: Sequence[History]) -> AsyncIterator[str]:
    """The database that the settings name, or a new one on an embedded server, thrown away afterwards."""
    url = DatabaseSettings().url.get_secret_value()
    if url:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="coffee-check-", ignore_cleanup_errors=True) as folder:
        try:
            async with Servers(Path(folder), durable=False) as servers:
                server = await servers.start("postgres")
                async with fresh_database(server) as fresh:
                    await runner.upgrade(fresh, histories, lambda _: None)
                    yield fresh
        except EmbeddedServerError as error:
            raise CoffeeError(
                f"{error}: name a migrated database in COFFEE_DATABASE_URL, or leave the tables out with --no-tables"
            ) from error
