"""A stream of verdicts: proxies that went, callers in between, and what nginx makes of heads."""

from __future__ import annotations

import asyncio

import pytest

from tests.gateway.data_plane.conftest import Plane, Start
from tests.support.raw_http import BOUND
from tests.support.verdict_proxy import OPENING, VerdictProxy, get

HERE = "127.0.0.0/8"
UPGRADE = (b"connection: upgrade", b"upgrade: websocket")


async def opened(plane: Plane) -> VerdictProxy:
    return await VerdictProxy.open(await plane.client())


async def test_a_proxy_that_went_without_a_word_leaves_no_stream_behind(start: Start) -> None:
    plane = await start(asked_from=HERE, wire={"idle_timeout": 0.1})
    async with await opened(plane) as proxy:
        assert (await proxy.ask(get(b"/a"))).status == 0
        async with asyncio.timeout(BOUND):
            assert await proxy.client.reader.read() == b""


@pytest.mark.parametrize("line", [b"X-Forwarded-For: 198.51.100.7", b"Forwarded: for=198.51.100.7", b"Via: 1.1 edge"])
async def test_a_caller_whose_request_a_proxy_has_passed_on_opens_no_stream(start: Start, line: bytes) -> None:
    """He could say who anybody is."""
    plane = await start(asked_from=HERE)
    async with await plane.client() as client:
        answer = await client.ask(OPENING[:-2] + line + b"\r\n\r\n")
    assert answer.status == 400, "it is a question that names no request"


async def test_where_no_upgrade_is_wanted_a_proxy_is_told_to_leave_it_out(start: Start) -> None:
    on, off = await start(asked_from=HERE), await start(asked_from=HERE, upgrades=frozenset())
    async with await opened(on) as proxy, await opened(off) as other:
        told = [await each.ask(get(b"/a", *UPGRADE)) for each in (proxy, other)]
    assert [(each.status, each.sent(b"upgrade")) for each in told] == [(0, b"websocket"), (1, b"")]


@pytest.mark.parametrize(
    ("came", "value"),
    [
        pytest.param(b"X-Test: 1\n\r\nAccept: x", b"1", id="one space"),
        pytest.param(b"X-Test: 1\n  \r\nAccept: x", b"1", id="three"),
        pytest.param(b"Accept: x\r\nX-Test: 1\n\r\n", b"1", id="in the last line"),
    ],
)
async def test_spaces_behind_a_value_that_nginx_has_marked_are_spaces(start: Start, came: bytes, value: bytes) -> None:
    plane = await start(asked_from=HERE)
    end = b"\r\n" if came.endswith(b"\r\n") else b"\r\n\r\n"
    async with await opened(plane) as proxy:
        told = await proxy.ask(b"GET /a HTTP/1.1\r\nHost: a\r\n" + came + end)
    assert (told.status, told.sent(b"x-test")) == (0, value)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /a HTTP/1.1\r\nHost: a\r\nX-Test: 1\n\r\n", id="at the end"),
        pytest.param(b"GET /a HTTP/1.1\r\nHost: a\nX-Test: 1\r\n\r\n", id="before a line"),
        pytest.param(b"GET /a HTTP/1.1\nHost: a\r\n\r\n", id="behind the request line"),
    ],
)
async def test_a_line_feed_alone_is_no_mark_and_no_line_end(start: Start, head: bytes) -> None:
    plane = await start(asked_from=HERE)
    async with await opened(plane) as proxy:
        assert (await proxy.ask(head)).status == 400
        assert (await proxy.ask(get(b"/a"))).status == 0
