"""Scripts without a task each: every reply goes to who asked for it, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.cache.pipeline import MOST
from coffee_core.cache.redis_client import open_redis
from coffee_core.cache.redis_scripts import DOWN, RedisScripts
from coffee_core.cache.redis_tier import RedisTier, State
from coffee_core.cache.resp import Fault, Reply, pack, read, texts
from tests.support.cable import Cable

ECHO = "return {ARGV[1], #ARGV[1]}"


@contextlib.asynccontextmanager
async def scripts_on(url: str, *, patience: float = 5.0) -> AsyncIterator[RedisScripts]:
    scripts = RedisScripts(open_redis(url, timeout=patience, max_connections=4), timeout=patience, pause=0.05)
    try:
        yield scripts
    finally:
        await scripts.close()


def ask(scripts: RedisScripts, text: bytes, script: str = ECHO) -> asyncio.Future[object]:
    reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    scripts.ask(script, (), (text,), reply.set_result)
    return reply


REPLIES: list[tuple[bytes, Reply]] = [
    (b"+OK\r\n", b"OK"),
    (b"-ERR no\r\n", Fault(b"ERR no")),
    (b":-7\r\n", -7),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"$0\r\n\r\n", b""),
    (b"$4\r\n\r\n\r\n\r\n", b"\r\n\r\n"),
    (b"*0\r\n", []),
    (b"*3\r\n$1\r\na\r\n$-1\r\n*2\r\n:1\r\n+x\r\n", [b"a", None, [1, b"x"]]),
]


@pytest.mark.parametrize(("raw", "reply"), REPLIES)
def test_a_reply_is_read_whole_or_not_at_all(raw: bytes, reply: Reply) -> None:
    assert read(raw + b"$1", 0) == (reply, len(raw))
    assert read(b"xx" + raw, 2) == (reply, len(raw) + 2)
    for end in range(len(raw)):
        assert read(raw[:end]) is None


@pytest.mark.parametrize(
    "raw", [b"HTTP/1.1 400\r\n", b"$x\r\n", b"$1\r\nabc", b":\r\n", b"$99999999999\r\n", b"*1\r\n" * 20, b"\r\n"]
)
def test_what_is_no_reply_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        read(raw)


TEXTS = st.lists(st.binary(max_size=6) | st.sampled_from((b"", b"\r\n", b"$1\r\na", b"\r")), max_size=5)


@given(TEXTS, st.integers(0, 80), st.sampled_from((b"", b"1", b"\r\n", b"$", b"-")))
def test_a_list_that_is_read_in_one_go_is_the_one_that_stands_there(parts: list[bytes], at: int, put: bytes) -> None:
    raw = pack(parts)
    plain = not any(b"\r\n" in part for part in parts)
    assert (texts(raw) == parts) is plain
    raw = raw[:at] + put + raw[at + 1 :]
    found = texts(raw)
    assert found is None or read(raw) == (found, len(raw))


def test_a_command_says_the_length_of_each_part() -> None:
    assert pack((b"EVAL", b"", b"\r\n")) == b"*3\r\n$4\r\nEVAL\r\n$0\r\n\r\n$2\r\n\r\n\r\n"


async def test_many_questions_at_once_get_their_own_replies(redis_url: str) -> None:
    """Among them is one that needs more than one read, and one that the server refuses."""
    async with scripts_on(redis_url) as scripts:
        texts = [b"x" * (1 << 20 if n == 50 else n) for n in range(200)]
        replies = [ask(scripts, text) for text in texts]
        wrong = ask(scripts, b"", "return redis.call('NO SUCH COMMAND')")
        after = ask(scripts, b"after")
        assert await asyncio.gather(*replies) == [[text, len(text)] for text in texts]
        assert await wrong is DOWN
        assert await after == [b"after", 5]
        assert scripts.errors == 1


async def test_a_script_that_the_server_has_not_seen_is_sent_to_it(redis_url: str) -> None:
    async with scripts_on(redis_url) as scripts:
        new = f"return '{secrets.token_hex(8)}' .. ARGV[1]"
        first, other, second = (ask(scripts, b"a", new), ask(scripts, b"b"), ask(scripts, b"c", new))
        assert await other == [b"b", 1]
        assert str(await first)[:-2] == str(await second)[:-2]
        assert scripts.errors == 0


async def test_a_lost_connection_is_opened_anew_and_what_was_asked_is_asked_again(redis_url: str) -> None:
    async with Cable(redis_url) as cable, scripts_on(cable.url) as scripts:
        assert await ask(scripts, b"a") == [b"a", 1]
        cable.hang()
        waiting = [ask(scripts, b"b"), ask(scripts, b"c")]
        await asyncio.sleep(0)  # they are on their way
        cable.drop()
        cable.flow()
        assert await asyncio.wait_for(asyncio.gather(*waiting), 5) == [[b"b", 1], [b"c", 1]]
        assert scripts.errors == 0


async def test_a_server_that_is_gone_is_noticed_at_once_and_asked_again_later(redis_url: str) -> None:
    async with Cable(redis_url) as cable, scripts_on(cable.url, patience=60) as scripts:
        assert await ask(scripts, b"a") == [b"a", 1]
        cable.hang()
        waiting = ask(scripts, b"b")
        await cable.cut()
        assert await asyncio.wait_for(waiting, 20) is DOWN
        cable.flow()
        await cable.plug_in()
        assert await asyncio.wait_for(ask(scripts, b"c"), 20) == [b"c", 1]


async def test_a_silent_server_costs_one_time_out_and_its_late_replies_are_nobodys(redis_url: str) -> None:
    async with Cable(redis_url) as cable, scripts_on(cable.url, patience=1) as scripts:
        assert await ask(scripts, b"a") == [b"a", 1]
        cable.hang()
        assert await asyncio.wait_for(asyncio.gather(ask(scripts, b"b"), ask(scripts, b"c")), 20) == [DOWN, DOWN]
        cable.flow()
        async with asyncio.timeout(20):
            while (reply := await ask(scripts, b"d")) is DOWN:
                await asyncio.sleep(0.05)
        assert reply == [b"d", 1]


async def test_a_server_that_takes_connections_and_says_nothing_costs_one_time_out(redis_url: str) -> None:
    async with Cable(redis_url) as cable, scripts_on(cable.url, patience=0.3) as scripts:
        cable.hang()
        assert await asyncio.wait_for(ask(scripts, b"a"), 20) is DOWN
        cable.flow()


async def test_there_is_room_for_so_many_and_no_more(redis_url: str) -> None:
    async with scripts_on(redis_url) as scripts:
        waiting = [ask(scripts, b"a") for _ in range(MOST + 1)]
        assert waiting[-1].done()
        assert waiting[-1].result() is DOWN
        assert await asyncio.gather(*waiting[:-1]) == [[b"a", 1]] * MOST


async def test_who_still_waits_when_it_closes_is_told_so(redis_url: str) -> None:
    async with scripts_on(redis_url) as scripts:
        waiting = [ask(scripts, b"a"), ask(scripts, b"b")]
    assert [each.result() for each in waiting] == [DOWN, DOWN]


async def test_a_server_that_speaks_something_else_is_left() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            async for line in reader:
                if line.startswith(b"EVALSHA"):
                    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                elif line.startswith(b"CLIENT"):
                    writer.write(b"+OK\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with scripts_on(url) as scripts:
        assert await asyncio.wait_for(ask(scripts, b"a"), 20) is DOWN
    server.close()


async def test_an_asker_who_has_gone_shifts_nobodys_answer(redis_url: str) -> None:
    name = secrets.token_hex(8)
    async with scripts_on(redis_url) as scripts:
        tier = RedisTier(scripts)
        mine = await tier.claim(f"{name}:b", seconds=30)
        assert await tier.fill(f"{name}:b", mine.raw, b"value", seconds=30)
        gone = asyncio.ensure_future(tier.claim(f"{name}:a", seconds=30))
        stays = asyncio.ensure_future(tier.claim(f"{name}:b", seconds=30))
        await asyncio.sleep(0)
        gone.cancel()
        assert (await stays).raw == b"value"
        assert gone.cancelled()
        assert (await tier.claim(f"{name}:a", seconds=30)).state is State.BUSY
