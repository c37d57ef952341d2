"""Headers that came before are not sorted again; the request is decided about as any other."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest
from msgspec.structs import replace

from coffee_core.cache.announce import invalidate
from coffee_core.cache.redis_client import open_redis
from coffee_core.testing.cache import until
from coffee_core.wire.beginnings import BeginningMemory
from coffee_core.wire.head import read_request_head
from coffee_core.wire.header_lines import HeaderLines
from coffee_core.wire.request_memory import KnownHeaders, RequestMemory
from gateway.build import BuiltVerdict
from gateway.verdict.decision import Decision, Forward, RequestHead
from tests.gateway.verdict.rig import TARGET, Identity, User, decide, forwarded, refused, request, running, settings

IDS = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|00-[0-9a-f]{32}-[0-9a-f]{16}-00")
LEFT = re.compile(rb"r=[0-9]+;t=[0-9]+")


def known(head: RequestHead) -> RequestHead:
    headers = list(head.headers)
    return replace(head, known=KnownHeaders(headers, b"api.example.com"))


def framed(head: RequestHead, memory: RequestMemory) -> RequestHead:
    """The same where others have sent all of it but the token, in `memory`."""
    block = b"".join(b"%b: %b\r\n" % line for line in head.headers) + b"\r\n"
    for number in range(2):
        other = re.sub(rb"(authorization: Bearer )[^\r]+", rb"\g<1>other%d" % number, block)
        read_request_head(b"GET / HTTP/1.1\r\n" + other, HeaderLines(100), 1000, 1000, memory)
    return replace(head, known=memory.framed(block))


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
    for remembered in (known(plain), framed(plain, RequestMemory(10))):
        for _ in range(3):
            assert without_ids(await decide(verdict, remembered)) == without_ids(fresh)


@pytest.fixture(scope="module")
async def behind_proxies(identity: Identity, redis_url: str) -> AsyncIterator[BuiltVerdict]:
    config = settings(identity, redis_url, trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")))
    async with running(config) as built:
        yield built


TRACE = b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-00"
SETS: list[list[tuple[bytes, bytes]]] = [
    [(b"accept", b"*/*")],
    [(b"cookie", b"a=b; c=d"), (b"accept", b"*/*")],
    [(b"x-forwarded-for", b"192.0.2.7, 10.0.0.9"), (b"x-forwarded-proto", b"https")],
    [(b"x-forwarded-for", b"192.0.2.8"), (b"traceparent", TRACE), (b"tracestate", b"a=b")],
    [(b"forwarded", b"for=192.0.2.1"), (b"x-forwarded-host", b"public.example.com")],
    [(b"x-forwarded-for", b"192.0.2.9, " + b"10.0.0.3, " * 10 + b"10.0.0.9")],
]
TARGETS = (
    TARGET,
    b"/social-profile-service/api/profile/1?q=1",
    b"/identity-service/api/partners/me",
    b"/identity-service/api/auth/login",
    b"/profile-collection-service/api/collection/byshareid/abc",
)
PEERS = ("203.0.113.9", "203.0.113.10", "10.0.0.1", "10.0.0.2", "fd00::1", "2001:db8::1")


async def test_memory_changes_no_forwarding_whoever_asked_for_what_before(
    behind_proxies: BuiltVerdict, identity: Identity
) -> None:
    """Callers, connections, proxies and upstreams in any order over the same headers."""
    users = [User(identity), User(identity, plan="FREE"), None]
    lines = {number: [] if user is None else [user.bearer()] for number, user in enumerate(users)}
    lines[3] = [(b"authorization", b"Bearer nonsense")]
    lines[4] = [lines[0][0], lines[1][0]]
    kinds = [(who, headers) for who in lines for headers in range(len(SETS))]
    memory = RequestMemory(100)
    remembered = {}
    for who, headers in kinds:
        head = request(TARGET, *lines[who], *SETS[headers])
        remembered[who, headers, "whole"] = known(head)
        remembered[who, headers, "but for the token"] = framed(head, memory)
    assert sum(head.known is not None and head.known.frame is not None for head in remembered.values()) == 3 * len(SETS)
    everything = [(kind, target, peer) for kind in remembered for target in TARGETS for peer in PEERS] * 2
    random.Random(7).shuffle(everything)
    outcomes = set()
    for kind, target, peer in everything:
        head = replace(remembered[kind], target=target, peer=peer)
        decision = await decide(behind_proxies, head)
        fresh = await decide(behind_proxies, replace(head, known=None))
        assert without_ids(decision) == without_ids(fresh), (kind, target, peer)
        outcomes.add(type(decision))
        if isinstance(decision, Forward):
            assert decision.head.count(b"\r\ntraceparent: ") == 1
            assert decision.head.endswith(b"x-bb-requestid: %b\r\n" % decision.request_id)
    assert Forward in outcomes
    assert len(outcomes) > 1


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


async def test_a_module_knows_a_callers_next_request_but_for_its_trace_and_its_id(
    verdict: BuiltVerdict, identity: Identity
) -> None:
    plain = request(TARGET, User(identity).bearer(), (b"accept", b"application/json"))
    lines = HeaderLines(100)
    memory = BeginningMemory(10, lines, 100)
    knew, ids = [], set()
    for length in range(4):
        decision = await decide(verdict, plain)
        assert isinstance(decision, Forward)
        block = b"PATCH / HTTP/1.1\r\nhost: module\r\n%bcontent-length: %d\r\n\r\n" % (decision.head, length)
        read = read_request_head(block, lines, 1000, 100, memory)
        knew.append(read.known is not None)
        assert read.length == length
        assert read.named is not None
        ids.add(read.named[b"x-bb-requestid"])
    assert knew == [False, False, True, True]
    assert len(ids) == 4
