"""`coffee migrate` is the only way in which a schema changes, and half a change is none."""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

import asyncpg
import pytest

from coffee_core.cli.migrate import histories
from coffee_core.domain.errors import CoffeeError, UnavailableError
from coffee_core.embedded.fresh_database import fresh_database
from coffee_core.persistence.migrations import runner
from coffee_core.persistence.migrations.runner import History

NAMES = itertools.count()
VERSION = """
from alembic import op
revision = "{revision}"
down_revision = {down!r}
def upgrade():
    {up}
def downgrade():
    op.execute("DROP TABLE {schema}.t{revision}")
"""


class Written:
    """A history whose versions the test writes."""

    def __init__(self, folder: Path) -> None:
        self.name = f"history{next(NAMES)}"
        self.folder = folder / self.name
        self.folder.mkdir()
        (self.folder / "__init__.py").touch()
        self.history = History(self.name, self.name)
        self.last: str | None = None

    def version(self, revision: str, *, also: str = "pass") -> None:
        up = f'op.execute("CREATE TABLE {self.name}.t{revision} ()"); {also}'
        text = VERSION.format(revision=revision, down=self.last, up=up, schema=self.name)
        (self.folder / f"{revision}_x.py").write_text(text)
        self.last = revision


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.path_importer_cache.clear()
    return Written(tmp_path)


async def tables(url: str, schema: str) -> set[str]:
    raw = await asyncpg.connect(url)
    try:
        rows = await raw.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", schema)
    finally:
        await raw.close()
    return {row[0] for row in rows} - {"alembic_version"}


async def test_what_is_pending_is_applied_once_and_then_nothing_is(database_url: str, written: Written) -> None:
    written.version("0001")
    written.version("0002")
    assert await runner.pending(database_url, [written.history]) == [f"{written.name}: 0001", f"{written.name}: 0002"]
    said: list[str] = []
    assert await runner.upgrade(database_url, [written.history], said.append) == 2
    assert said == [f"{written.name}: 0001, 0002"]
    assert await runner.pending(database_url, [written.history]) == []
    assert await runner.upgrade(database_url, [written.history], said.append) == 0
    assert await tables(database_url, written.name) == {"t0001", "t0002"}


async def test_a_version_that_fails_leaves_nothing_of_itself_and_keeps_those_before(
    database_url: str, written: Written
) -> None:
    written.version("0001")
    written.version("0002", also='op.execute("SELECT 1 / 0")')
    with pytest.raises(Exception, match="division by zero"):
        await runner.upgrade(database_url, [written.history], print)
    assert await tables(database_url, written.name) == {"t0001"}
    assert await runner.pending(database_url, [written.history]) == [f"{written.name}: 0002"]
    written.last = "0001"
    written.version("0002")
    assert await runner.upgrade(database_url, [written.history], print) == 1


async def test_several_runners_at_once_apply_each_version_once(database_url: str, written: Written) -> None:
    written.version("0001")
    applied = await asyncio.gather(*(runner.upgrade(database_url, [written.history], lambda _: None) for _ in range(4)))
    assert sorted(applied) == [0, 0, 0, 1]


async def test_versions_can_be_taken_back(database_url: str, written: Written) -> None:
    written.version("0001")
    written.version("0002")
    await runner.upgrade(database_url, [written.history], print)
    await runner.downgrade(database_url, written.history, "-1", print)
    assert await tables(database_url, written.name) == {"t0001"}
    with pytest.raises(CoffeeError, match="no_such_version"):
        await runner.downgrade(database_url, written.history, "no_such_version", print)
    await runner.downgrade(database_url, written.history, "base", print)
    assert await tables(database_url, written.name) == set()


async def test_a_database_that_is_newer_than_the_installation_is_told_apart(
    database_url: str, written: Written
) -> None:
    written.version("0001")
    written.version("0002")
    await runner.upgrade(database_url, [written.history], print)
    (written.folder / "0002_x.py").unlink()
    with pytest.raises(CoffeeError, match="stands at version 0002, which this installation does not know"):
        await runner.status(database_url, [written.history])


async def test_a_database_that_is_not_there_is_unavailable(written: Written) -> None:
    written.version("0001")
    with pytest.raises(UnavailableError):
        await runner.status("postgresql://nobody@127.0.0.1:1/none", [written.history])


async def test_every_history_of_this_installation_goes_up_down_and_up_again(database_url: str) -> None:
    async with fresh_database(database_url) as url:
        for history in histories():
            await runner.upgrade(url, [history], print)
            await runner.downgrade(url, history, "base", print)
            assert await tables(url, history.name) == set()
            await runner.upgrade(url, [history], print)
            assert await runner.pending(url, [history]) == []


def test_the_statements_of_a_history_can_be_written_out_without_a_database() -> None:
    for history in histories():
        written = runner.sql(history)
        assert ("CREATE TABLE" in written) == runner.keeps_tables(history)
        assert runner.keeps_tables(history) or "keeps nothing in PostgreSQL" in written
