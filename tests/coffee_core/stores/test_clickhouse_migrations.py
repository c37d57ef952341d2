"""ClickHouse's migrations: in order, each once, and what failed is not taken for done."""

import secrets
import sys
from pathlib import Path

import pytest

from coffee_core.domain.errors import CoffeeError, UnavailableError
from coffee_core.persistence.migrations.runner import History
from coffee_core.stores.clickhouse.connection import Connection
from coffee_core.stores.clickhouse.migrations import Version, pending, upgrade, versions
from coffee_core.stores.clickhouse.settings import ClickHouseSettings
from coffee_core.stores.clickhouse.store import ClickHouseStore


class Files:
    """A history whose files the test writes."""

    def __init__(self, folder: Path) -> None:
        self.name = f"h{secrets.token_hex(6)}"
        self.folder = folder / self.name / "clickhouse"
        self.folder.mkdir(parents=True)
        (folder / self.name / "__init__.py").touch()
        self.history = History(self.name, self.name)

    def write(self, file: str, *statements: str) -> None:
        (self.folder / file).write_text("-- a note\n" + "".join([f"{one};\n" for one in statements]))

    def table(self, number: int) -> str:
        return f"{self.name}__t{number}"

    def create(self, number: int) -> str:
        return f"CREATE TABLE IF NOT EXISTS {self.table(number)}\n(id Int64) ENGINE = MergeTree\nORDER BY id"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.path_importer_cache.clear()
    return Files(tmp_path)


@pytest.fixture
def connection(clickhouse_store: ClickHouseStore) -> Connection:
    return clickhouse_store.connection


async def exists(connection: Connection, table: str) -> bool:
    sql = "SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = {name:String}"
    return bool(await connection.query(sql, {"name": table}))


def names(found: list[Version]) -> list[str]:
    return [version.path.stem for version in found]


async def test_what_is_pending_is_applied_in_order_and_once(connection: Connection, files: Files) -> None:
    said: list[str] = []
    files.write("0002_more.sql", f"INSERT INTO {files.table(1)} VALUES (1)", files.create(2))
    files.write("0001_first.sql", files.create(1))
    assert names(await pending(connection, [files.history])) == ["0001_first", "0002_more"]
    assert await upgrade(connection, [files.history], said.append) == 2
    assert said == [f"{files.name} (ClickHouse): 0001_first", f"{files.name} (ClickHouse): 0002_more"]
    assert await exists(connection, files.table(2))
    files.write("0003_last.sql", files.create(3))
    assert names(await pending(connection, [files.history])) == ["0003_last"]
    assert await upgrade(connection, [files.history], said.append) == 1
    assert await upgrade(connection, [files.history], said.append) == 0
    assert list(await connection.query(f"SELECT count() FROM {files.table(1)}", {})) == [(1,)]


async def test_a_file_that_fails_is_not_marked_and_runs_again(connection: Connection, files: Files) -> None:
    files.write("0001_good.sql", files.create(1))
    files.write("0002_bad.sql", files.create(2), "DROP TABLE nowhere")
    files.write("0003_never.sql", files.create(3))
    with pytest.raises(Exception, match="UNKNOWN_TABLE"):
        await upgrade(connection, [files.history], print)
    assert names(await pending(connection, [files.history])) == ["0002_bad", "0003_never"]
    assert not await exists(connection, files.table(3))
    files.write("0002_bad.sql", files.create(2))
    assert await upgrade(connection, [files.history], print) == 2


async def test_a_module_without_files_does_not_need_clickhouse(files: Files) -> None:
    assert await pending(Connection(ClickHouseSettings()), [files.history]) == []
    files.write("0001_first.sql", files.create(1))
    with pytest.raises(UnavailableError, match="set COFFEE_CLICKHOUSE_URL"):
        await pending(Connection(ClickHouseSettings()), [files.history])


def test_a_file_that_is_named_otherwise_is_refused(files: Files) -> None:
    files.write("first.sql", files.create(1))
    with pytest.raises(CoffeeError, match=r"named like 0001_views\.sql"):
        versions(files.history)


def test_a_number_is_given_once(files: Files) -> None:
    files.write("0001_first.sql", files.create(1))
    files.write("0001_other.sql", files.create(2))
    with pytest.raises(CoffeeError, match="has the same number"):
        versions(files.history)


def test_notes_and_empty_statements_are_no_statements(files: Files) -> None:
    (files.folder / "0001_x.sql").write_text("-- only a note;\n;\nSELECT ';' AS a;  \n\nSELECT 2")
    (version,) = versions(files.history)
    assert version.statements() == ["SELECT ';' AS a", "SELECT 2"]
