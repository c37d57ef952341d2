"""A decision that comes later finds its client as it left him, or not at all."""

from __future__ import annotations

import asyncio

import pytest

from gateway.verdict.decision import Decision
from gateway.verdict.pending import Pending
from tests.gateway.data_plane.conftest import Plane, Start
from tests.support.raw_http import RawClient, until


async def asked(plane: Plane, client: RawClient, request: bytes) -> tuple[Pending[Decision], Decision]:
    """What the client is waiting for now."""
    before = len(plane.verdict.pending)
    client.send(request)
    await until(lambda: len(plane.verdict.pending) > before, "it is being decided")
    return plane.verdict.pending[-1]


def get(path: bytes) -> bytes:
    return b"GET /pending%b HTTP/1.1\r\nhost: a\r\n\r\n" % path


@pytest.mark.parametrize(("path", "status"), [(b"/a", 200), (b"/no", 401), (b"/own", 200), (b"/missing", 503)])
async def test_each_kind_of_decision_may_come_later(start: Start, path: bytes, status: int) -> None:
    plane = await start()
    async with await plane.client() as client:
        pending, decision = await asked(plane, client, get(path))
        pending.tell(decision)
        assert (await client.answer()).status == status
        client.send(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n")
        assert (await client.answer()).status == 200


async def test_what_was_sent_meanwhile_goes_on(start: Start) -> None:
    plane = await start()
    async with await plane.client() as client:
        post = b"POST /pending/a HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhe"
        pending, decision = await asked(plane, client, post)
        client.send(b"llo")
        pending.tell(decision)
        assert (await client.answer()).status == 200
        assert plane.upstream.asked[-1].body == b"hello"


async def test_who_has_left_is_not_told(start: Start) -> None:
    plane = await start()
    client = await plane.client()
    pending, decision = await asked(plane, client, get(b"/a"))
    client.reset()
    await until(lambda: pending.over, "nobody waits any more")
    pending.tell(decision)
    await plane.at_rest()
    assert plane.upstream.asked == []
    (line,) = await plane.log(1)
    assert (line["status"], line["end"]) == (499, "left")


@pytest.mark.parametrize("fault", [RuntimeError("a fault"), ValueError("another")])
async def test_a_decision_that_failed_is_a_500_and_the_connection_stays(start: Start, fault: Exception) -> None:
    plane = await start()
    async with await plane.client() as client:
        pending, _ = await asked(plane, client, get(b"/a"))
        pending.tell(fault)
        assert (await client.answer()).status == 500
        client.send(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n")
        assert (await client.answer()).status == 200


async def test_one_that_nobody_will_tell_any_more_ends_its_connection(start: Start) -> None:
    plane = await start()
    client = await plane.client()
    pending, _ = await asked(plane, client, get(b"/a"))
    pending.tell(asyncio.CancelledError())
    assert await client.closed()
    await plane.at_rest()
    (line,) = await plane.log(1)
    assert line["status"] == 499


async def test_a_fault_of_ours_after_it_reaches_this_client_alone(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = await start()
    async with await plane.client() as client, await plane.client() as other:
        first, decision = await asked(plane, client, get(b"/a"))
        second, same = await asked(plane, other, get(b"/a"))
        with monkeypatch.context() as patched:
            patched.setattr(plane.front, "groups", None)
            first.tell(decision)  # who tells is not troubled
        second.tell(same)
        assert (await client.answer()).status == 500
        assert (await other.answer()).status == 200


async def test_it_can_be_awaited_or_hand_on_what_is_awaited() -> None:
    pending: Pending[str] = Pending()
    waiting = asyncio.ensure_future(pending)
    await asyncio.sleep(0)
    pending.tell("now")
    assert await waiting == "now"

    async def later() -> str:
        return "later"

    handed: Pending[str] = Pending()
    handed.follow(later())
    assert await handed == "later"

    early: Pending[str] = Pending()
    early.tell("before anybody asked")
    assert await early == "before anybody asked"


async def test_who_gives_up_cancels_what_was_begun_for_him() -> None:
    begun: Pending[str] = Pending()
    work: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    begun.follow(work)
    waiting = asyncio.ensure_future(begun)
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait((waiting,))
    assert waiting.cancelled()
    assert work.cancelled()
    assert begun.over


@pytest.mark.parametrize("path", [b"/no", b"/own", b"/missing"])
@pytest.mark.parametrize("between", [b"", b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n"], ids=["at once", "after another"])
async def test_the_body_of_a_request_that_did_not_pass_is_never_part_of_a_later_one(
    start: Start, path: bytes, between: bytes
) -> None:
    """It came while the decision was waited for. An upstream would read it as a request that nobody decided about."""
    plane = await start()
    smuggled = b"GET /secret HTTP/1.1\r\nhost: a\r\nx-bb-uid: 1\r\n\r\n"
    async with await plane.client() as client:
        client.send(b"GET /warm HTTP/1.1\r\nhost: a\r\n\r\n")
        assert (await client.answer()).status == 200
        post = b"POST /pending%b HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b" % (path, len(smuggled), smuggled)
        pending, decision = await asked(plane, client, post)
        pending.tell(decision)
        assert (await client.answer()).status == {b"/no": 401, b"/own": 200, b"/missing": 503}[path]
        if between:
            client.send(between)
            assert (await client.answer()).status == 200
        client.send(b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nBODY")
        assert (await client.answer()).status == 200
        client.send(b"GET /end HTTP/1.1\r\nhost: a\r\n\r\n")
        assert (await client.answer()).status == 200
    lines = [asked.line.split()[1] for asked in plane.upstream.asked]
    assert lines == [b"/warm", *([b"/a"] if between else []), b"/a", b"/end"]
    assert plane.upstream.asked[-2].body == b"BODY"
