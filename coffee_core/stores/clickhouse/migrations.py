"""Migrations of ClickHouse: numbered `.sql` files in the folder `clickhouse` of a module's migrations, upwards only.

ClickHouse has no transactions over DDL. A file is marked as applied after its last statement; one that failed half way
is run again from its start, so its statements say IF NOT EXISTS or IF EXISTS, or it has only one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from coffee_core.domain.errors import CoffeeError
from coffee_core.persistence.migrations.runner import History
from coffee_core.stores.clickhouse.connection import Connection

FILE = re.compile(r"(\d{4})_\w+\.sql")
END_OF_STATEMENT = re.compile(r";[ \t]*(?:\n|$)")
TABLE = "coffee__migrations"
CREATE = f"""CREATE TABLE IF NOT EXISTS {TABLE}
(history String, version String, applied_at DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC'))
ENGINE = MergeTree ORDER BY (history, version)"""

MARK = f"INSERT INTO {TABLE} (history, version) SELECT {{history:String}}, {{version:String}}"
"""As a statement: for data the driver first imports pandas, where that is installed."""

Say = Callable[[str], None]


class Version(NamedTuple):
    """One file: `0001_views.sql` is version 0001."""

    history: str
    number: str
    path: Path

    def statements(self) -> list[str]:
        """What it runs: each statement ends with a semicolon at the end of a line."""
        parts = [part.strip() for part in END_OF_STATEMENT.split(self.path.read_text(encoding="utf-8"))]
        return [part for part in parts if part and not all(line.startswith("--") for line in part.splitlines())]


def versions(history: History) -> list[Version]:
    """The files of a history, in order; a file that is named otherwise, or a number given twice, is an error."""
    spec = find_spec(history.package)
    if spec is None or not spec.submodule_search_locations:
        raise CoffeeError(f"{history.name}: there is no package {history.package} to hold its migrations")
    found: dict[str, Version] = {}
    for path in sorted(Path(spec.submodule_search_locations[0], "clickhouse").glob("*")):
        if path.name.startswith(("_", ".")):
            continue
        named = FILE.fullmatch(path.name)
        if named is None:
            raise CoffeeError(f"{path}: a ClickHouse migration is named like 0001_views.sql")
        if named[1] in found:
            raise CoffeeError(f"{path}: {found[named[1]].path.name} has the same number")
        found[named[1]] = Version(history.name, named[1], path)
    return list(found.values())


async def pending(connection: Connection, histories: Sequence[History]) -> list[Version]:
    """What is not applied, history after history. Creates nothing; without any file ClickHouse is not asked."""
    there = [version for history in histories for version in versions(history)]
    if not there:
        return []
    known = await connection.query(
        "SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = {name:String}", {"name": TABLE}
    )
    rows = await connection.query(f"SELECT history, version FROM {TABLE}", {}) if known else ()  # noqa: S608  # a constant
    applied = {(str(row[0]), str(row[1])) for row in rows}
    return [version for version in there if (version.history, version.number) not in applied]


async def upgrade(connection: Connection, histories: Sequence[History], say: Say) -> int:
    """Apply what is pending; answers how many files. The caller sees to it that he is the only runner.

    A file that fails stops the run and is not marked; those before it stay.
    """
    waiting = await pending(connection, histories)
    if waiting:
        await connection.command(CREATE)
    for version in waiting:
        say(f"{version.history} (ClickHouse): {version.path.stem}")
        for statement in version.statements():
            await connection.command(statement)
        await connection.command(MARK, {"history": version.history, "version": version.number})
    return len(waiting)
