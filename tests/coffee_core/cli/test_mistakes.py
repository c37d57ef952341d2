"""What people get wrong is answered in a sentence, with status 1, and never with a traceback."""

import secrets
import socket
import subprocess
from pathlib import Path

import pytest

from coffee_core.cli.checks_migrations import check_migrations
from coffee_core.cli.findings import Level
from coffee_core.embedded.fresh_database import fresh_database
from tests.coffee_core.cli.test_settings import coffee

SECRETS = {name: secrets.token_urlsafe(48) for name in ("COFFEE_JWT_SECRET", "COFFEE_IDENTITY_SIGNING_KEY")}


def refused(*arguments: str, **env: str) -> str:
    done: subprocess.CompletedProcess[str] = coffee(*arguments, **env)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("coffee: ")]
    return sentence


def test_a_url_that_is_none_is_shown_how_one_looks_and_not_repeated() -> None:
    sentence = refused("migrate", COFFEE_DATABASE_URL="hello:s3cret")
    assert "postgresql://" in sentence
    assert "s3cret" not in sentence


async def test_a_database_that_does_not_exist_is_named(database_url: str) -> None:
    head, _, query = database_url.partition("?")
    url = f"{head.rpartition('/')[0]}/no_such_database{'?' + query if query else ''}"
    assert "no_such_database" in refused("migrate", COFFEE_DATABASE_URL=url)


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}" in refused("gateway", COFFEE_GATEWAY_PORT=str(port), **SECRETS)


def test_a_data_folder_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert str(file) in refused("up", "--folder", str(file))


async def test_a_database_without_tables_is_sent_to_the_migrations(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fresh_database(database_url) as url:
        assert "coffee migrate" in refused("demo", COFFEE_DATABASE_URL=url)
        monkeypatch.setenv("COFFEE_DATABASE_URL", url)
        (finding,) = await check_migrations()
        assert finding.level is Level.BAD
        assert finding.remedy == "run `coffee migrate`"
        assert coffee("migrate", COFFEE_DATABASE_URL=url).returncode == 0
        (finding,) = await check_migrations()
        assert finding.level is Level.FINE
