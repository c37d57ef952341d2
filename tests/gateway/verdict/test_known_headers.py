"""Headers that came before are not sorted again; the request is decided about as any other."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from coffee_core.cache.announce import invalidate
from coffee_core.cache.redis_client import open_redis
from coffee_core.testing.cache import until
from coffee_core.wire.head_memory import KnownHeaders
from gateway.build import BuiltVerdict
from gateway.verdict.decision import Decision, RequestHead
from tests.gateway.verdict.rig import TARGET, Identity, User, decide, forwarded, refused, request

IDS = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|00-[0-9a-f]{32}-[0-9a-f]{16}-00")
LEFT = re.compile(rb"r=[0-9]+;t=[0-9]+")


def known(head: RequestHead) -> RequestHead:
    headers = list(head.headers)
    return replace(head, known=KnownHeaders(headers, {}, b"api.example.com"))


def without_ids(decision: Decision) -> str:
    return LEFT.sub(b"LEFT", IDS.sub(b"ID", repr(decision).encode())).decode()


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"x-bb-uid", b"1"), (b"x-bb-deviceid", b"d"), (b"x-bb-deviceid", b"e"), (b"accept", b"*/*")],
        [(b"cookie", b"a=b; c=d"), (b"origin", b"https://app.example.com")],
        [(b"origin", b"https://evil.example")],
        [(b"x-forwarded-for", b"10.0.0.1"), (b"traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-00")],
        [(b"connection", b"x-hop"), (b"x-hop", b"1"), (b"accept", b"*/*")],
        [(b"x-bb-requestid", b"01900000-0000-7000-8000-000000000000")],
        [(b"authorization", b"Bearer second")],
    ],
)
async def test_memory_changes_no_decision(
    verdict: BuiltVerdict, identity: Identity, headers: list[tuple[bytes, bytes]]
) -> None:
    plain = request(TARGET, User(identity).bearer(), *headers)
    await decide(verdict, plain)
    fresh = await decide(verdict, plain)
    remembered = known(plain)
    for _ in range(3):
        assert without_ids(await decide(verdict, remembered)) == without_ids(fresh)


async def test_each_request_has_an_id_of_its_own(verdict: BuiltVerdict, identity: Identity) -> None:
    head = known(request(TARGET, User(identity).bearer()))
    decisions = [await forwarded(verdict, head) for _ in range(5)]
    assert len({decision.request_id for decision in decisions}) == 5
    assert all(decision.head.count(decision.request_id) == 1 for decision in decisions)


async def test_a_logout_reaches_a_caller_whose_headers_are_known(
    verdict: BuiltVerdict, identity: Identity, redis_url: str
) -> None:
    user = User(identity)
    head = known(request(TARGET, user.bearer()))
    for _ in range(3):
        await forwarded(verdict, head)
    del identity.sessions[user.sid]
    redis = open_redis(redis_url, timeout=5, max_connections=1)
    await invalidate(redis, f"session:{user.sid}")
    await redis.aclose()
    await until(lambda: verdict.sessions.peek(f"session:{user.sid}") is None)
    await refused(verdict, head, 401)
