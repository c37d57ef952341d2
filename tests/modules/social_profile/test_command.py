"""`coffee import` as its user meets it: counts and reasons, or a sentence and status 1 where nothing goes."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from coffee_core.domain.errors import CoffeeError
from modules.social_profile.command import import_
from tests.modules.social_profile.rig import Caller

SAMPLE = Path(__file__).parents[3] / "modules" / "social_profile" / "sample"
Run = Callable[..., Awaitable[Result]]


@pytest.fixture
async def run(profiles: Caller, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command with these arguments, on the migrated database. It has an event loop of its own: so, a thread."""
    monkeypatch.setenv("COFFEE_DATABASE_URL", database_url)
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(import_)

    async def with_arguments(*arguments: str | Path) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, [str(argument) for argument in arguments])

    return with_arguments


async def test_it_ends_with_the_counts_and_the_refused_records(run: Run) -> None:
    result = await run("instagram", SAMPLE / "instagram_dirty.csv")
    assert result.exit_code == 0
    assert "11 records: 6 created, 0 updated, 0 unchanged, 5 refused" in result.output
    assert "line 8: column 'followers': 'lots' is not a number" in result.output
    again = await run("instagram", SAMPLE / "instagram_dirty.csv")
    assert "0 created, 0 updated, 6 unchanged, 5 refused" in again.output


async def test_a_file_that_is_not_utf8_needs_its_encoding_said(run: Run) -> None:
    refused = await run("youtube", SAMPLE / "youtube_dirty.csv")
    assert isinstance(refused.exception, CoffeeError)
    assert "byte 0xFD at offset" in refused.exception.detail
    assert "--encoding latin-1" in refused.exception.detail
    assert (await run("youtube", SAMPLE / "youtube_dirty.csv", "--encoding", "latin-1")).exit_code == 0


async def test_a_dry_run_stores_nothing(run: Run, profiles: Caller) -> None:
    result = await run("instagram", SAMPLE / "instagram_dirty.csv", "--dry-run")
    assert "nothing was stored" in result.output
    assert (await profiles.data("POST", "instagram/search", {}))["totalCount"] == 0


async def test_columns_may_be_our_field_names(run: Run) -> None:
    refused = await run("instagram", SAMPLE / "instagram.csv")
    assert isinstance(refused.exception, CoffeeError)
    assert "--mapping none" in refused.exception.detail
    assert "26 created" in (await run("instagram", SAMPLE / "instagram.csv", "--mapping", "none")).output


async def test_an_export_is_an_import(run: Run, profiles: Caller, tmp_path: Path) -> None:
    await run("youtube", SAMPLE / "youtube.csv", "--mapping", "none")
    _, exported = await profiles.call("GET", "youtube/export?format=ndjson")
    file = tmp_path / "export.ndjson"
    file.write_bytes(exported)
    assert "26 unchanged, 0 refused" in (await run("youtube", file)).output


async def test_a_file_of_which_no_record_is_accepted_ends_with_status_1(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("igId,handle\n,x\n", encoding="utf-8")
    result = await run("instagram", file, "--mapping", "none")
    assert result.exit_code == 1
    assert "1 refused" in result.output


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param("", "COFFEE_DATABASE_URL is not set", id="no database is named"),
        pytest.param("postgresql://postgres@127.0.0.1:1/none", "PostgreSQL running", id="nobody answers"),
    ],
)
async def test_what_is_missing_is_said_in_a_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, said: str
) -> None:
    monkeypatch.setenv("COFFEE_DATABASE_URL", url)
    monkeypatch.setenv("COFFEE_UP_FOLDER", str(tmp_path))
    result = await run("instagram", SAMPLE / "instagram_dirty.csv")
    assert isinstance(result.exception, CoffeeError)
    assert said in result.exception.detail


async def test_tables_that_are_not_there_are_said_in_a_sentence(run: Run, profiles: Caller) -> None:
    connection = await profiles.store.pool.take()
    try:
        await connection.raw.execute("DROP SCHEMA social_profile CASCADE")
    finally:
        profiles.store.pool.give(connection)
    result = await run("instagram", SAMPLE / "instagram_dirty.csv")
    assert isinstance(result.exception, CoffeeError)
    assert "coffee migrate" in result.exception.detail
