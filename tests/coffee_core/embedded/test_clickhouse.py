"""The embedded ClickHouse, through the client that production uses, unchanged."""

import asyncio
import datetime
import os
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import clickhouse_connect
import pytest
from clickhouse_connect.driver import AsyncClient
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from coffee_core.embedded.servers import Servers
from coffee_core.embedded.settings import EmbeddedSettings
from tests.coffee_core.embedded.processes import gone


@pytest.fixture
async def embedded_url(servers: Servers) -> str:
    """Always the embedded one: its front is what these tests are about."""
    return await servers.start("clickhouse")


@pytest.fixture
def root(embedded_url: str) -> str:
    """Where HTTP requests go that no client makes for us."""
    return urlsplit(embedded_url)._replace(path="/").geturl()


@pytest.fixture
async def client(embedded_url: str) -> AsyncIterator[AsyncClient]:
    connected = await clickhouse_connect.get_async_client(dsn=embedded_url, autogenerate_session_id=False)
    yield connected
    await connected.close()


@pytest.fixture
async def table(client: AsyncClient) -> AsyncIterator[str]:
    name = f"t_{uuid.uuid4().hex}"
    await client.command(f"CREATE TABLE {name} (id UInt64, name String, day Date, n Nullable(Float64)) ORDER BY id")
    yield name
    await client.command(f"DROP TABLE {name}")


ROWS = [[1, "a'b\\c\n\tü", datetime.date(2026, 1, 2), None], [2, "", datetime.date(1999, 12, 31), 2.5]]


async def test_host_port_and_password_are_all_a_client_needs(embedded_url: str) -> None:
    at = urlsplit(embedded_url)
    client = await clickhouse_connect.get_async_client(
        host=at.hostname, port=at.port, username=at.username, password=at.password
    )
    try:
        assert (await client.query("SELECT 1 AS one")).result_rows == [(1,)]
    finally:
        await client.close()


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
async def test_what_is_inserted_comes_back(embedded_url: str, table: str, compress: bool | str) -> None:
    client = await clickhouse_connect.get_async_client(dsn=embedded_url, compress=compress)
    try:
        summary = await client.insert(table, ROWS, column_names=["id", "name", "day", "n"])
        assert summary.written_rows == 2
        assert (await client.query(f"SELECT * FROM {table} ORDER BY id")).result_rows == [tuple(row) for row in ROWS]
    finally:
        await client.close()


async def test_server_side_parameters_keep_every_character(client: AsyncClient) -> None:
    nasty = "quote ' back \\ tab \t newline \n brace {x:Int8} ü"
    answer = await client.query(
        "SELECT {s:String}, {n:UInt32} + 1, {a:Array(String)}", parameters={"s": nasty, "n": 5, "a": ["x'y", "z"]}
    )
    assert answer.result_rows == [(nasty, 6, ["x'y", "z"])]


async def test_a_long_parameter_travels_in_a_form(client: AsyncClient) -> None:
    long = "x" * 200_000
    assert (await client.query("SELECT length({s:String})", parameters={"s": long})).result_rows == [(200_000,)]


async def test_settings_hold_for_their_query_alone(client: AsyncClient) -> None:
    ask = "SELECT getSetting('max_block_size')"
    before = (await client.query(ask)).result_rows
    assert (await client.query(ask, settings={"max_block_size": 1234})).result_rows == [(1234,)]
    assert (await client.query(ask)).result_rows == before


async def test_a_database_may_have_any_name(client: AsyncClient, embedded_url: str) -> None:
    name = f"we`ird '{uuid.uuid4().hex}"
    quoted = "`" + name.replace("`", "\\`") + "`"
    await client.command(f"CREATE DATABASE {quoted}")
    try:
        at = urlsplit(embedded_url)
        inside = await clickhouse_connect.get_async_client(
            host=at.hostname, port=at.port, username=at.username, password=at.password, database=name
        )
        assert (await inside.query("SELECT currentDatabase()")).result_rows == [(name,)]
        await inside.close()
    finally:
        await client.command(f"DROP DATABASE {quoted}")


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT * FROM nowhere", 60),
        ("SELCT 1", 62),
        ("SELECT nothing", 47),
        ("SELECT throwIf(1)", 395),
        ("INSERT INTO nowhere FORMAT CSV\n1\n", 60),
    ],
)
async def test_errors_carry_clickhouses_codes(client: AsyncClient, sql: str, code: int) -> None:
    with pytest.raises(DatabaseError) as refused:
        await client.command(sql)
    assert refused.value.code == code


async def test_an_unknown_setting_is_refused(root: str) -> None:
    unknown = {"nonsense": "1"}
    async with aiohttp.ClientSession() as http, http.post(root, params=unknown, data=b"SELECT 1") as answer:
        assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (404, "115")


async def test_a_wrong_password_is_refused(root: str) -> None:
    wrong = f"http://coffee:wrong@127.0.0.1:{urlsplit(root).port}/"
    async with aiohttp.ClientSession() as http, http.post(wrong, data=b"SELECT 1") as answer:
        assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516")


async def test_a_body_that_is_not_what_it_says_is_refused(root: str) -> None:
    async with aiohttp.ClientSession() as http:
        for encoding, status in {"gzip": 400, "lz4": 400, "zstd": 400, "br": 501, "rot13": 501}.items():
            async with http.post(root, data=b"SELECT 1", headers={"Content-Encoding": encoding}) as answer:
                assert answer.status == status, encoding


async def test_a_large_result_streams(client: AsyncClient) -> None:
    total = 0
    async with await client.query_row_block_stream("SELECT number FROM numbers(3000000)") as stream:
        async for block in stream:
            total += len(block)
    assert total == 3_000_000


async def test_an_error_in_the_middle_of_a_stream_is_not_taken_for_its_end(client: AsyncClient) -> None:
    async with await client.query_row_block_stream("SELECT throwIf(number = 2500000) FROM numbers(3000000)") as stream:
        with pytest.raises(StreamFailureError, match="FUNCTION_THROW_IF"):
            _ = [block async for block in stream]


async def test_many_queries_at_once_are_all_answered(client: AsyncClient) -> None:
    answers = await asyncio.gather(*(client.query(f"SELECT {n}, sleep(0.01)") for n in range(60)))
    assert [answer.result_rows[0][0] for answer in answers] == list(range(60))


async def test_an_endless_query_does_not_hold_up_the_others(client: AsyncClient, root: str) -> None:
    endless = b"SELECT sum(sipHash64(number, 'endless')) FROM numbers(1000000000000)"
    async with aiohttp.ClientSession() as http:
        running = asyncio.create_task(http.post(root, data=endless))
        await until(client, "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sum(%endless%'", 1)
        for n in range(20):
            assert (await client.query(f"SELECT {n}")).result_rows == [(n,)]
        assert not running.done()
        running.cancel()


async def test_a_session_keeps_its_temporary_table_and_shows_it_to_nobody_else(embedded_url: str) -> None:
    one = await clickhouse_connect.get_async_client(dsn=embedded_url, session_id=uuid.uuid4().hex)
    other = await clickhouse_connect.get_async_client(dsn=embedded_url, session_id=uuid.uuid4().hex)
    try:
        await one.command("CREATE TEMPORARY TABLE mine (a UInt8)")
        await one.insert("mine", [[7]], column_names=["a"], column_type_names=["UInt8"])
        assert (await one.query("SELECT a FROM mine")).result_rows == [(7,)]
        with pytest.raises(DatabaseError) as refused:
            await other.query("SELECT a FROM mine")
        assert refused.value.code == 60
    finally:
        await one.close()
        await other.close()


async def test_a_query_whose_caller_left_is_ended(client: AsyncClient, root: str) -> None:
    mark = uuid.uuid4().hex
    sql = f"SELECT sum(sipHash64(number, '{mark}')) FROM numbers(1000000000000)"
    running = f"SELECT count() FROM system.processes WHERE query LIKE '%{mark}%' AND query NOT LIKE '%processes%'"
    async with aiohttp.ClientSession() as http:
        lost = asyncio.create_task(http.post(root, data=sql.encode()))
        await until(client, running, 1)
        lost.cancel()
        await until(client, running, 0)


async def until(client: AsyncClient, sql: str, wanted: int) -> None:
    async with asyncio.timeout(30):
        while (await client.query(sql)).result_rows != [(wanted,)]:
            await asyncio.sleep(0.02)


async def test_raw_inserts_with_settings_and_odd_columns(client: AsyncClient) -> None:
    name = f"t_{uuid.uuid4().hex}"
    await client.command(f"CREATE TABLE {name} (`a FORMAT b` UInt8, `c'd` String) ORDER BY tuple()")
    try:
        insert = f"INSERT INTO {name} (`a FORMAT b`, `c'd`) SETTINGS async_insert = 0 FORMAT CSV\n1,x\n2,y\n"
        await client.command(insert)
        await client.raw_insert(name, ["a FORMAT b", "c'd"], b"3\tz\n", fmt="TabSeparated")
        await client.command(f"INSERT INTO {name} VALUES (4, 'FORMAT CSV')")
        await client.command(f"INSERT INTO {name} SELECT 5, 'FORMAT Native'")
        rows = (await client.query(f"SELECT * FROM {name} ORDER BY 1")).result_rows
        assert rows == [(1, "x"), (2, "y"), (3, "z"), (4, "FORMAT CSV"), (5, "FORMAT Native")]
    finally:
        await client.command(f"DROP TABLE {name}")


def engines(servers: Servers) -> list[int]:
    """The engine's process, if it is awake: the one child of the one that has the socket."""
    door = servers.child("clickhouse").pid
    return [int(pid) for pid in Path(f"/proc/{door}/task/{door}/children").read_text().split()]


async def asleep(servers: Servers) -> None:
    """Wait until the engine has ended."""
    async with asyncio.timeout(30):
        while engines(servers):
            await asyncio.sleep(0.02)


async def test_the_engine_ends_when_nobody_asks_and_comes_back_with_its_data(tmp_path: Path) -> None:
    settings = EmbeddedSettings(clickhouse_idle_seconds=0.3)
    async with Servers(tmp_path, settings=settings) as servers:
        client = await clickhouse_connect.get_async_client(
            dsn=await servers.start("clickhouse"), autogenerate_session_id=False
        )
        await client.command("CREATE TABLE kept ENGINE = MergeTree ORDER BY word AS SELECT 'beans' AS word")
        for _ in range(2):
            await asleep(servers)
            assert servers.child("clickhouse").running
            assert (await client.query("SELECT word FROM kept")).result_rows == [("beans",)]
            assert engines(servers)
        await client.close()


async def test_the_engine_stays_while_a_query_runs_or_a_session_may_be_used_again(tmp_path: Path) -> None:
    settings = EmbeddedSettings(clickhouse_idle_seconds=0.2)
    async with Servers(tmp_path, settings=settings) as servers:
        url = await servers.start("clickhouse")
        once = await clickhouse_connect.get_async_client(dsn=url, autogenerate_session_id=False)
        assert (await once.query("SELECT sleep(1)")).result_rows == [(0,)]
        await once.close()
        client = await clickhouse_connect.get_async_client(dsn=url, session_id=uuid.uuid4().hex)
        await client.command("CREATE TEMPORARY TABLE mine (x Int32) ENGINE = Memory")
        await asyncio.sleep(1)  # several times its idle time: what must not happen can only be waited for
        assert (await client.query("SELECT count() FROM mine")).result_rows == [(0,)]
        await client.close()


async def test_an_engine_that_dies_takes_its_door_along_so_that_it_is_started_anew(tmp_path: Path) -> None:
    async with Servers(tmp_path) as servers:
        url = await servers.start("clickhouse")
        os.kill(engines(servers)[0], signal.SIGKILL)
        assert await servers.child("clickhouse").wait() != 0
        assert await servers.start("clickhouse") == url


async def test_the_engine_dies_with_its_door(tmp_path: Path) -> None:
    async with Servers(tmp_path) as servers:
        await servers.start("clickhouse")
        (engine,) = engines(servers)
        os.kill(servers.child("clickhouse").pid, signal.SIGKILL)
        assert await gone(engine)
