"""Kept answers reach those they were meant for, while they are fresh, and nobody else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from coffee_core.wire.head import ResponseHead, read_request_head
from coffee_core.wire.header_lines import HeaderLines
from gateway.data_plane.answer_cache import OVERHEAD, AnswerCache, Entry, Key
from gateway.data_plane.cache_rules import CacheSettings, freshness, shareable
from gateway.data_plane.gauges import Gauges
from tests.gateway.data_plane.conftest import Plane, Start
from tests.support.raw_http import Answer, until
from tests.support.raw_upstream import RawUpstream, Script, Visit


def answering(lines: bytes = b"", status: bytes = b"200 OK") -> Script:
    """Each answer says which it is."""

    async def script(visit: Visit, upstream: RawUpstream) -> None:
        while True:
            upstream.asked.append(await visit.request())
            body = b"answer %d" % len(upstream.asked)
            visit.say(b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\n\r\n%b" % (status, lines, len(body), body))

    return script


def route(scope: str = "user", **more: Any) -> dict[str, Any]:
    return {"cache_routes": {"everything": CacheSettings.model_validate({"scope": scope, **more})}}


async def ask(plane: Plane, lines: bytes = b"", target: bytes = b"/a", method: bytes = b"GET") -> Answer:
    async with await plane.client() as client:
        return await client.ask(b"%b %b HTTP/1.1\r\nhost: a\r\n%b\r\n" % (method, target, lines))


FRESH = b"cache-control: max-age=60\r\n"


async def test_a_fresh_answer_is_kept_with_its_age_and_says_so(start: Start) -> None:
    plane = await start(answering(FRESH + b"age: 10\r\nx-y: z\r\ntransfer-encoding-x: 1\r\n"), **route())
    first = await ask(plane)
    assert (first.body, first.header(b"cache-status")) == (b"answer 1", b"coffee; fwd=uri-miss; stored")
    async with await plane.client() as client:
        for _ in range(3):
            second = await client.ask(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n")
            assert (second.status, second.body, second.header(b"x-y")) == (200, b"answer 1", b"z")
            assert second.header(b"cache-status").startswith(b"coffee; hit; ttl=")
            assert 10 <= int(second.header(b"age")) < 20
            assert [name for name, _ in second.headers].count(b"age") == 1
            assert second.header(b"x-bb-requestid")
    assert (await ask(plane, target=b"/b")).body == b"answer 2"
    assert (await ask(plane, target=b"/a?c=d")).body == b"answer 3"
    registry = CollectorRegistry()
    registry.register(Gauges(plane.front))
    told = generate_latest(registry).decode()
    assert 'gateway_answer_cache_events_total{event="hit"} 3.0' in told
    assert "gateway_answer_cache_entries 3.0" in told
    assert (await plane.log(6))[1]["status"] == 200


async def test_other_routes_are_not_looked_at(start: Start) -> None:
    plane = await start(answering(FRESH), cache_routes={"another": CacheSettings()})
    assert [(await ask(plane)).body for _ in range(2)] == [b"answer 1", b"answer 2"]
    assert not (await ask(plane)).header(b"cache-status")


@pytest.mark.parametrize(
    ("scope", "shared"),
    [
        ("user", {b"3/PAID/7"}),
        ("partner", {b"3/PAID/7", b"3/PAID/8"}),
        ("plan", {b"3/PAID/7", b"3/PAID/8", b"4/PAID/9"}),
        ("everybody", {b"3/PAID/7", b"3/PAID/8", b"4/PAID/9", b"3/FREE/7", b"/FREE/"}),
    ],
)
async def test_an_answer_goes_no_further_than_the_routes_scope(start: Start, scope: str, shared: set[bytes]) -> None:
    plane = await start(answering(b"cache-control: public, max-age=60\r\n"), **route(scope))
    assert (await ask(plane, b"x-who: 3/PAID/7\r\n")).body == b"answer 1"
    for who in (b"3/PAID/7", b"3/PAID/8", b"4/PAID/9", b"3/FREE/7", b"/FREE/"):
        answer = await ask(plane, b"x-who: %b\r\n" % who)
        assert (answer.body == b"answer 1") == (who in shared), who


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(b"", id="nothing said"),
        pytest.param(b"cache-control: no-store, max-age=60\r\n", id="no-store"),
        pytest.param(b"cache-control: max-age=60\r\ncache-control: no-store\r\n", id="no-store in a second line"),
        pytest.param(b"cache-control: no-cache, max-age=60\r\n", id="no-cache"),
        pytest.param(b"cache-control: public, PRIVATE, max-age=60\r\n", id="private"),
        pytest.param(b"cache-control: max-age=60\r\n", id="not said to be for others"),
        pytest.param(b"cache-control: public, max-age=0\r\n", id="of no age"),
        pytest.param(b"cache-control: public, max-age=-5\r\n", id="of a negative age"),
        pytest.param(b"cache-control: public, max-age=60\r\nage: 60\r\n", id="old already"),
        pytest.param(b"cache-control: public, max-age=60\r\nset-cookie: a=b\r\n", id="a cookie"),
        pytest.param(b"cache-control: public, max-age=60\r\nvary: *\r\n", id="varies by anything"),
        pytest.param(b"cache-control: public, max-age=60\r\nvary: x, Authorization\r\n", id="varies by who asks"),
        pytest.param(b"cache-control: public, max-age=60\r\nvary: x-bb-uid\r\n", id="varies by the user"),
        pytest.param(b"expires: 0\r\n", id="expired"),
    ],
)
async def test_what_may_not_be_shared_is_asked_for_again(start: Start, lines: bytes) -> None:
    plane = await start(answering(lines), **route("partner"))
    first = await ask(plane)
    assert b"stored" not in first.header(b"cache-status")
    assert (await ask(plane)).body == b"answer 2"
    assert plane.front.caching is not None
    assert len(plane.front.caching.answers) == 0


@pytest.mark.parametrize("status", [b"500 X", b"302 X", b"201 X", b"206 X", b"401 X"])
async def test_other_statuses_are_not_kept(start: Start, status: bytes) -> None:
    plane = await start(answering(FRESH, status), **route())
    assert [(await ask(plane)).body for _ in range(2)] == [b"answer 1", b"answer 2"]


async def test_the_routes_own_time_is_for_answers_that_say_nothing(start: Start) -> None:
    plane = await start(answering(), **route("everybody", seconds=30))
    assert [(await ask(plane)).body for _ in range(2)] == [b"answer 1"] * 2
    other = await start(answering(b"cache-control: public, max-age=0\r\n"), **route("everybody", seconds=30))
    assert [(await ask(other)).body for _ in range(2)] == [b"answer 1", b"answer 2"]


async def test_an_answer_ends_with_its_freshness(start: Start) -> None:
    plane = await start(answering(b"cache-control: max-age=1\r\n"), **route())
    assert (await ask(plane)).body == b"answer 1"
    async with asyncio.timeout(10):
        while (await ask(plane)).body == b"answer 1":
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "lines",
    [
        b"cache-control: no-store\r\n",
        b"cache-control: no-cache\r\n",
        b"pragma: no-cache\r\n",
        b"cache-control: max-age=0\r\n",
        b"range: bytes=0-1\r\n",
        b'if-match: "1"\r\n',
        b"x-who: /FREE/\r\ncookie: a=b\r\n",
        b"x-who: /FREE/\r\nauthorization: Basic x\r\n",
    ],
)
async def test_a_request_may_ask_past_the_cache(start: Start, lines: bytes) -> None:
    plane = await start(answering(b"cache-control: public, max-age=60, s-maxage=60\r\n"), **route("everybody"))
    assert (await ask(plane)).body == b"answer 1"
    plane.front.now += 1  # some time later
    assert (await ask(plane, lines)).body == b"answer 2"


async def test_a_request_for_what_is_kept_alone_asks_nobody(start: Start) -> None:
    plane = await start(answering(FRESH), **route())
    answer = await ask(plane, b"cache-control: only-if-cached\r\n")
    assert (answer.status, answer.header(b"content-type")) == (504, b"application/problem+json")
    assert not plane.upstream.asked
    assert (await ask(plane)).status == 200
    assert (await ask(plane, b"cache-control: only-if-cached\r\n")).body == b"answer 1"


async def test_what_has_not_changed_is_304(start: Start) -> None:
    plane = await start(answering(FRESH + b'etag: W/"5"\r\ncontent-type: text/plain\r\n'), **route())
    assert (await ask(plane)).status == 200
    async with await plane.client() as client:
        sent = b'GET /a HTTP/1.1\r\nhost: a\r\nif-none-match: "4", "5"\r\n\r\n'
        answer = await client.ask(sent)
        assert (answer.status, answer.header(b"etag"), answer.header(b"content-type")) == (304, b'W/"5"', b"")
        assert (await client.ask(sent.replace(b'"5"', b'"6"'))).body == b"answer 1"
    assert len(plane.upstream.asked) == 1


async def test_an_answer_is_for_requests_that_say_the_same_in_what_it_varies_by(start: Start) -> None:
    plane = await start(answering(FRESH + b"vary: Accept, x-test\r\n"), **route())
    bodies = [(await ask(plane, b"accept: %b\r\n" % accept)).body for accept in (b"a", b"b", b"a", b"b", b"c")]
    assert bodies == [b"answer 1", b"answer 2", b"answer 1", b"answer 2", b"answer 3"]


async def test_another_host_is_another_answer(start: Start) -> None:
    """The upstream is told by x-forwarded-host what the caller said."""
    plane = await start(answering(FRESH), **route())
    assert (await ask(plane)).body == b"answer 1"
    async with await plane.client() as client:
        assert (await client.ask(b"GET /a HTTP/1.1\r\nhost: evil\r\n\r\n")).body == b"answer 2"


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"PATCH"])
async def test_a_write_makes_every_kept_answer_of_its_target_old(start: Start, method: bytes) -> None:
    plane = await start(answering(FRESH), **route())
    for who in (b"3/PAID/7", b"4/FREE/9"):
        await ask(plane, b"x-who: %b\r\n" % who)
    assert (await ask(plane, target=b"/b")).body == b"answer 3"
    assert (await ask(plane, b"content-length: 0\r\n", method=method)).body == b"answer 4"
    assert (await ask(plane, b"x-who: 4/FREE/9\r\n")).body == b"answer 5"
    assert (await ask(plane)).body == b"answer 6"
    assert (await ask(plane, target=b"/b")).body == b"answer 3"


async def test_an_answer_that_is_cut_short_is_not_kept(start: Start) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        upstream.asked.append(await visit.request())
        visit.say(b"HTTP/1.1 200 OK\r\n%bcontent-length: 10\r\n\r\nhello" % FRESH)

    plane = await start(script, **route(coalesce=True))
    for _ in range(2):
        assert (answer := await ask(plane)).status == 502 or not answer.complete
    assert len(plane.upstream.asked) == 2


async def test_chunks_are_kept_as_a_whole_and_too_much_is_not(start: Start) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        while True:
            asked = await visit.request()
            upstream.asked.append(asked)
            size = 200 if b"/large" in asked.line else 20
            visit.say(b"HTTP/1.1 200 OK\r\n%btransfer-encoding: chunked\r\n\r\n" % FRESH)
            visit.say(b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size))

    plane = await start(script, cache_answer_bytes=100, **route())
    for target, times in ((b"/small", 1), (b"/large", 3)):
        assert len((await ask(plane, target=target)).body) == (20 if times == 1 else 200)
        again = await ask(plane, target=target)
        assert (again.header(b"content-length") == b"20") == (times == 1)
        assert len(plane.upstream.asked) == times


class Gate:
    """An upstream that answers when it is told to."""

    def __init__(self, lines: bytes) -> None:
        self.open = asyncio.Event()
        self._lines = lines

    async def __call__(self, visit: Visit, upstream: RawUpstream) -> None:
        while True:
            upstream.asked.append(await visit.request())
            number = len(upstream.asked)
            await self.open.wait()
            visit.say(b"HTTP/1.1 200 OK\r\n%bcontent-length: 8\r\n\r\nanswer %d" % (self._lines, number))


async def waiting(plane: Plane, count: int) -> None:
    caching = plane.front.caching
    assert caching is not None
    await until(lambda: sum(len(flight.waiting) for flight in caching._flights.values()) == count, "they wait")


@pytest.mark.parametrize("lines", [FRESH, b""], ids=["kept", "shared only"])
async def test_equal_requests_share_one_on_its_way(start: Start, lines: bytes) -> None:
    gate = Gate(lines)
    plane = await start(gate, **route(coalesce=True))
    tasks = [asyncio.create_task(ask(plane)) for _ in range(20)]
    other = asyncio.create_task(ask(plane, b"x-who: 4/PAID/9\r\n"))
    await waiting(plane, 19)
    await until(lambda: len(plane.upstream.asked) == 2, "another user asks for himself")
    gate.open.set()
    answers = [await task for task in tasks]
    assert len({answer.body for answer in answers}) == 1
    assert sum(b"collapsed" in answer.header(b"cache-status") for answer in answers) == 19
    assert (await other).body != answers[0].body
    assert len(plane.upstream.asked) == 2
    await plane.at_rest()


async def test_what_may_not_be_shared_is_asked_for_by_each(start: Start) -> None:
    gate = Gate(b"set-cookie: a=b\r\n")
    plane = await start(gate, **route(coalesce=True))
    tasks = [asyncio.create_task(ask(plane)) for _ in range(5)]
    await waiting(plane, 4)
    gate.open.set()
    assert len({(await task).body for task in tasks}) == 5
    await plane.at_rest()


async def test_one_that_leaves_hands_over_to_the_next(start: Start) -> None:
    gate = Gate(FRESH)
    plane = await start(gate, **route(coalesce=True))
    first, second = await plane.client(), await plane.client()
    first.send(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n")
    await until(lambda: len(plane.upstream.asked) == 1, "the first asks")
    second.send(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n")
    others = [asyncio.create_task(ask(plane)) for _ in range(3)]
    await waiting(plane, 4)
    second.reset()
    await waiting(plane, 3)
    first.reset()
    await until(lambda: len(plane.upstream.asked) == 2, "the next asks")
    await waiting(plane, 2)
    gate.open.set()
    assert {(await task).body for task in others} == {b"answer 2"}
    await plane.at_rest()


async def test_a_failure_is_everybodys(start: Start) -> None:
    release = asyncio.Event()

    async def script(visit: Visit, upstream: RawUpstream) -> None:
        upstream.asked.append(await visit.request())
        await release.wait()
        visit.say(b"garbage\r\n\r\n")

    plane = await start(script, **route(coalesce=True))
    tasks = [asyncio.create_task(ask(plane)) for _ in range(5)]
    await waiting(plane, 4)
    release.set()
    assert [(await task).status for task in tasks] == [502] * 5
    assert len(plane.upstream.asked) == 1
    await plane.at_rest()


async def test_who_asks_after_a_failure_does_not_share_it(start: Start) -> None:
    async def script(visit: Visit, upstream: RawUpstream) -> None:
        upstream.asked.append(await visit.request())
        first = len(upstream.asked) == 1
        visit.say(b"garbage\r\n\r\n" if first else b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    plane = await start(script, **route(coalesce=True))
    async with await plane.client() as client:
        client.send(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n" * 2)  # the second is read while the first is being failed
        assert [(await client.answer()).status for _ in range(2)] == [502, 200]
    await plane.at_rest()


REQUEST = read_request_head(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", HeaderLines(10), max_line=100, max_headers=10)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 400), st.booleans()), max_size=40))
def test_the_bytes_are_bounded_and_counted(steps: list[tuple[int, int, bool]]) -> None:
    cache = AnswerCache(3 * OVERHEAD)
    for number, size, write in steps:
        uri = ("up", b"/%d" % (number % 4))
        if write:
            cache.forget(uri)
            continue
        entry = Entry(200, b"", (), (), b"")
        entry.body, entry.until = b"x" * size, 1.0
        key = Key(uri, b"", b"%d" % number, b"", b"")
        cache.keep(key, entry)
        assert cache.find(key, REQUEST, 0.5) in {entry, None}
        assert cache.find(key, REQUEST, 1.0) is None
        assert cache.bytes <= 3 * OVERHEAD
    for number in range(4):
        cache.forget(("up", b"/%d" % number))
    assert (cache.bytes, len(cache), cache._variants, cache._by_uri) == (0, 0, {}, {})


@given(
    st.lists(
        st.tuples(st.sampled_from([b"cache-control", b"age", b"expires", b"date", b"vary"]), st.binary()), max_size=6
    )
)
def test_no_header_makes_it_raise_or_keep_for_longer_than_a_day(headers: list[tuple[bytes, bytes]]) -> None:
    head = ResponseHead()
    head.lines, head.status = [(name, value, b"", False) for name, value in headers], 200
    for scope in ("user", "everybody"):
        told = CacheSettings.model_validate({"scope": scope})
        shareable(head, told, known=True)
        assert freshness(head, told) <= 86_400


async def test_what_is_for_one_is_not_for_all_who_are_nobody(start: Start) -> None:
    """Callers without a session have one place in the cache."""
    plane = await start(answering(b"cache-control: private, max-age=60\r\n"), **route("user"))
    nobody = b"x-who: /FREE/\r\n"
    assert [(await ask(plane, nobody)).body for _ in range(2)] == [b"answer 1", b"answer 2"]
    assert [(await ask(plane)).body for _ in range(2)] == [b"answer 3", b"answer 3"]


@pytest.mark.parametrize("name", [b"x-forwarded-for", b"Forwarded", b"traceparent", b"accept, X-Forwarded-Proto"])
async def test_what_differs_by_what_the_gateway_writes_is_not_kept(start: Start, name: bytes) -> None:
    plane = await start(answering(b"cache-control: public, max-age=60\r\nvary: %b\r\n" % name), **route("everybody"))
    assert [(await ask(plane)).body for _ in range(2)] == [b"answer 1", b"answer 2"]
