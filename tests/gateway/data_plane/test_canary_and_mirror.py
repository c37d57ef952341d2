"""Another version gets a part of the requests, or copies of them; neither costs the others anything."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from coffee_core.wire.head import read_request_head
from coffee_core.wire.header_lines import HeaderLines
from coffee_core.wire.listen import bind
from gateway.data_plane.settings import DataPlaneSettings
from gateway.data_plane.targets import Target
from gateway.data_plane.upstreams import Upstreams
from gateway.verdict.decision import Forward, Passage
from tests.gateway.data_plane.conftest import Plane, Start
from tests.support.raw_http import until
from tests.support.raw_upstream import RawUpstream, Visit, polite

GET = b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n"
HEAD = read_request_head(GET, HeaderLines(10), max_line=1000, max_headers=10)


@pytest.fixture
async def other() -> AsyncIterator[RawUpstream]:
    """The other version."""
    async with RawUpstream(polite) as upstream:
        yield upstream


def url(upstream: RawUpstream) -> str:
    return f"http://127.0.0.1:{upstream.port}"


async def test_a_header_leads_to_the_canary(start: Start, other: RawUpstream) -> None:
    plane = await start(canaries={"up": {"targets": [url(other)], "header": "X-Canary: yes"}})
    async with await plane.client() as client:
        for line in (b"", b"x-canary: no\r\n", b"x-canary: yes\r\n"):
            assert (await client.ask(b"GET /a HTTP/1.1\r\nhost: a\r\n%b\r\n" % line)).status == 200
    assert (len(plane.upstream.asked), len(other.asked)) == (2, 1)


async def test_a_canary_that_fails_hands_its_share_back(start: Start) -> None:
    (held,) = bind()  # it does not listen, and nobody else is given its port
    with held:
        dead = f"http://127.0.0.1:{held.getsockname()[1]}"
        plane = await start(
            canaries={"up": {"targets": [dead], "percent": 100}}, breaker_requests=2, breaker_open=60, retries=0
        )
        async with await plane.client() as client:
            assert [(await client.ask(GET)).status for _ in range(4)] == [502, 502, 200, 200]


def test_a_share_is_of_users_and_stays_with_them() -> None:
    class Clock:
        now = 1.0

    settings = DataPlaneSettings.model_validate({"canaries": {"up": {"targets": ["http://canary"], "percent": 20}}})
    groups = Upstreams(settings, Clock(), {"up": [Target("a", 1)]}).groups
    canary = groups["up"].canary
    assert canary is not None

    def led(uid: int, request: int) -> bool:
        decision = Forward(Passage("up", "r", b"1", b"FREE", b"%d" % uid), b"/", b"", b"", b"%d" % request)
        return canary.choose(groups["up"], decision, HEAD) is groups["up-canary"]

    first = [led(uid, 1) for uid in range(1, 5001)]
    assert first == [led(uid, 2) for uid in range(1, 5001)]
    assert 800 < sum(first) < 1200


def test_a_canary_of_nothing_is_refused() -> None:
    class Clock:
        now = 1.0

    settings = DataPlaneSettings.model_validate({"canaries": {"nobody": {"targets": ["http://canary"]}}})
    with pytest.raises(ValueError, match="nobody"):
        Upstreams(settings, Clock(), {"up": [Target("a", 1)]})


async def mirrored(start: Start, other: RawUpstream, **mirror: object) -> Plane:
    return await start(mirrors={"up": {"targets": [url(other)], **mirror}})


async def test_a_copy_says_the_same_and_its_answer_is_dropped(start: Start, other: RawUpstream) -> None:
    plane = await mirrored(start, other)
    async with await plane.client() as client:
        answer = await client.ask(b"GET /a?b HTTP/1.1\r\nhost: a\r\nx-test: 1\r\n\r\n")
        assert answer.body == b"GET /a?b HTTP/1.1 "
        await until(lambda: len(other.asked) == 1, "the copy has come")
    (copy,), (original,) = other.asked, plane.upstream.asked
    assert copy.line == original.line
    assert (copy.header(b"x-test"), copy.header(b"x-bb-uid"), copy.header(b"x-mirrored")) == (b"1", b"7", b"1")
    assert copy.header(b"host") == b"127.0.0.1:%d" % other.port
    assert original.header(b"x-mirrored") == b""


async def test_with_a_header_and_no_share_only_what_carries_it_is_copied(start: Start, other: RawUpstream) -> None:
    plane = await mirrored(start, other, percent=0, header="X-Try: new")
    async with await plane.client() as client:
        for sent in (GET, b"GET /tried HTTP/1.1\r\nhost: a\r\nx-try: new\r\n\r\n", GET):
            assert (await client.ask(sent)).status == 200
        await until(lambda: bool(other.asked), "the copy has come")
    assert [asked.line for asked in other.asked] == [b"GET /tried HTTP/1.1"]


async def test_what_writes_or_is_large_is_not_copied(start: Start, other: RawUpstream) -> None:
    plane = await mirrored(start, other, size=300)
    async with await plane.client() as client:
        for sent in (
            b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi",
            b"DELETE /a HTTP/1.1\r\nhost: a\r\n\r\n",
            b"GET /a HTTP/1.1\r\nhost: a\r\nx-test: %b\r\n\r\n" % (b"x" * 300),
            GET,
        ):
            assert (await client.ask(sent)).status == 200
        await until(lambda: bool(other.asked), "the last one's copy has come")
    assert [asked.line for asked in other.asked] == [b"GET /a HTTP/1.1"]


async def test_a_mirror_that_hangs_or_is_gone_delays_nobody_and_is_bounded(start: Start) -> None:
    async def silent(visit: Visit, upstream: RawUpstream) -> None:
        upstream.asked.append(await visit.request())
        await visit.reader.read(-1)

    hanging = RawUpstream(silent)
    await hanging.start()
    plane = await mirrored(start, hanging, in_flight=2)
    mirror = plane.front.groups["up"].mirror
    assert mirror is not None
    async with await plane.client() as client:
        for _ in range(5):
            assert (await client.ask(GET)).status == 200
        assert (mirror.in_flight, mirror.dropped) == (2, 3)
    await hanging.stop()
    await until(lambda: mirror.in_flight == 0, "the copies have ended")
    assert mirror.failed == 2
    async with await plane.client() as client:
        assert (await client.ask(GET)).status == 200
    await until(lambda: mirror.failed == 3, "nobody is there")
    await until(lambda: mirror.in_flight == 0, "no copy is left")
