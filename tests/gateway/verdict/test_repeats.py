"""A request like the one before takes fewer steps, and gets the answer that all steps would give."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
from msgspec.structs import replace

from coffee_core.cache.announce import announce, invalidate
from coffee_core.cache.redis_client import AnyRedis, open_redis
from coffee_core.testing.cache import until
from gateway.build import BuiltVerdict
from gateway.verdict.decision import Decision, Forward, Refused, RequestHead
from gateway.verdict.limits import LimitCollector
from tests.gateway.verdict import rig
from tests.gateway.verdict.rig import TARGET, Identity, User, decide, forwarded, refused, remembered, request, running

OF_ONE = re.compile(
    rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|00-[0-9a-f]{32}-[0-9a-f]{16}-00|r=[0-9]+;t=[0-9]+"
)
"""What no two answers share."""


def but_for_its_own(decision: Decision) -> str:
    return OF_ONE.sub(b"", repr(decision).encode()).decode()


@contextmanager
def counted(built: BuiltVerdict) -> Iterator[list[bool]]:
    """Of each request that might be like the one before: whether it was."""
    repeats, found = built.core._repeats, []
    again = repeats.again

    def count(*asked: object) -> Forward | None:
        forward = again(*asked)  # type: ignore[arg-type]
        found.append(forward is not None)
        return forward

    repeats.again = count  # type: ignore[method-assign,assignment]
    try:
        yield found
    finally:
        repeats.again = again  # type: ignore[method-assign]


@asynccontextmanager
async def repeating(built: BuiltVerdict, head: RequestHead) -> AsyncIterator[list[bool]]:
    """After a request that was like the one before: its own mark is the first of those that are counted."""
    for _ in range(3):
        await forwarded(built, head)
    with counted(built) as found:
        await forwarded(built, head)
        yield found


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[AnyRedis]:
    client = open_redis(redis_url, timeout=5, max_connections=2)
    yield client
    await client.aclose()


@pytest.fixture(scope="module")
async def behind_proxies(identity: Identity, redis_url: str) -> AsyncIterator[BuiltVerdict]:
    config = rig.settings(
        identity, redis_url, trusted_proxies=(ip_network("10.0.0.0/8"),), cors_origins=("https://app.example.com",)
    )
    async with running(config) as built:
        yield built


TRACE = b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-00"
SETS: list[list[tuple[bytes, bytes]]] = [
    [(b"accept", b"*/*")],
    [(b"cookie", b"a=b; c=d")],
    [(b"origin", b"https://app.example.com")],
    [(b"origin", b"https://evil.example"), (b"sec-fetch-site", b"cross-site")],
    [(b"x-forwarded-for", b"192.0.2.7, 10.0.0.9"), (b"x-forwarded-proto", b"https")],
    [(b"x-forwarded-for", b"192.0.2.8"), (b"traceparent", TRACE), (b"tracestate", b"a=b")],
    [(b"x-bb-requestid", b"01900000-0000-7000-8000-000000000000"), (b"x-bb-uid", b"1")],
    [(b"connection", b"x-hop"), (b"x-hop", b"1")],
]
LINES = [
    (method, target)
    for method in (b"GET", b"POST", b"OPTIONS")
    for target in (
        TARGET,
        TARGET + b"?q=1",
        TARGET + b"?q=1#2",
        b"/social-profile-service/api/profile/1",
        b"/identity-service/api/partners/me",
        b"/auth/login",
        b"/identity-service/api/partners/7/plan",
        b"/profile-collection-service/api/collection/byshareid/abc",
        b"/nothing/here",
    )
]
PEERS = ("203.0.113.9", "203.0.113.10", "10.0.0.1", "2001:db8::1")


async def test_it_is_decided_about_as_if_there_had_been_none_before(
    behind_proxies: BuiltVerdict, identity: Identity
) -> None:
    """Callers by token and by cookie, lines, headers and peers in any order, each some times in a row."""
    draw = random.Random(11)
    users = [User(identity), User(identity, plan="FREE"), User(None)]
    callers = [[user.bearer()] for user in users]
    callers += [
        [(b"cookie", b"coffee_session=%b" % users[0].token().encode())],
        [],
        [users[0].bearer(), users[1].bearer()],
    ]
    heads = [remembered(request(TARGET, *caller, *headers)) for caller in callers for headers in SETS]
    with counted(behind_proxies) as repeated:
        for _ in range(1500):
            head = replace(draw.choice(heads), peer=draw.choice(PEERS))
            for method, target in draw.choices(LINES, k=draw.choice((1, 2))):
                asked = replace(head, method=method, target=target)
                for _ in range(draw.choice((1, 3, 4))):
                    decision = await decide(behind_proxies, asked)
                    fresh = await decide(behind_proxies, replace(asked, known=None))
                    assert but_for_its_own(decision) == but_for_its_own(fresh), asked
    assert sum(repeated) > 300
    assert repeated.count(False) > 30


async def test_the_third_one_repeats_the_second(verdict: BuiltVerdict, identity: Identity) -> None:
    head = remembered(request(TARGET, User(identity).bearer()))
    with counted(verdict) as repeated:
        ids = {(await forwarded(verdict, head)).request_id for _ in range(6)}
    assert repeated == [True] * 3, "the first fills the caches, the second and third take all steps"
    assert len(ids) == 6


async def test_a_logout_and_a_new_plan_count_at_once(
    verdict: BuiltVerdict, identity: Identity, redis: AnyRedis
) -> None:
    user = User(identity, plan="FREE")
    head = remembered(request(TARGET, user.bearer()))
    for _ in range(4):
        assert (await forwarded(verdict, head)).passage.plan == b"FREE"
    key = f"plan:{user.partner}"
    await announce(redis, key, json.dumps({"type": "PAID", "until": None}).encode(), seconds=60)
    await until(lambda: verdict.plans.peek(key) is None)
    for _ in range(4):
        forward = await forwarded(verdict, head)
        assert forward.passage.plan == b"PAID"
        assert b"x-bb-plan-type: PAID\r\n" in forward.head
    del identity.sessions[user.sid]
    await invalidate(redis, f"session:{user.sid}")
    await until(lambda: verdict.sessions.peek(f"session:{user.sid}") is None)
    await refused(verdict, head, 401)


async def test_what_was_let_pass_until_a_time_is_not_let_pass_after_it(
    verdict: BuiltVerdict, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = remembered(request(TARGET, User(identity).bearer()))
    async with repeating(verdict, head) as repeated:
        later = 1.1 * verdict.core._parts.signer.reuse
        monkeypatch.setattr(verdict.core._repeats, "_now", lambda: time.monotonic() + later)
        await forwarded(verdict, head)
    assert repeated == [True, False], "the statement of identity has to be signed anew"


@pytest.mark.parametrize("cache", ["sessions", "plans"])
async def test_what_is_dropped_from_the_caches_is_asked_for_anew(
    verdict: BuiltVerdict, identity: Identity, cache: str
) -> None:
    head = remembered(request(TARGET, User(identity).bearer()))
    async with repeating(verdict, head) as repeated:
        getattr(verdict, cache).drop()
        await forwarded(verdict, head)
    assert repeated == [True, False]


async def test_a_token_that_is_not_remembered_any_more_is_checked_anew(
    verdict: BuiltVerdict, identity: Identity
) -> None:
    head = remembered(request(TARGET, User(identity).bearer()))
    async with repeating(verdict, head) as repeated:
        verdict.core._parts.tokens.clear()
        await forwarded(verdict, head)
    assert repeated == [True, False]


@pytest.fixture(params=["with Redis", "without"])
def shared_url(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("redis_url") if request.param == "with Redis" else None


@pytest.mark.parametrize("limit", ["address", "partner"])
async def test_limits_count_each_of_them_once(identity: Identity, shared_url: str | None, limit: str) -> None:
    few = {"address_rate": 0.001, "address_burst": 2000} if limit == "address" else {"partner_rate_saas": 400}
    async with running(rig.settings(identity, shared_url, **few)) as built:
        head = remembered(request(TARGET, User(identity, plan="SAAS").bearer(), peer=rig.an_address()))
        passed = 0
        with counted(built) as repeated:
            while isinstance(decision := await decide(built, head), Forward):
                passed += 1
        assert isinstance(decision, Refused)
        assert decision.status == 429
        assert sum(repeated) > 50
        assert passed == 2000 if limit == "address" else 2000 <= passed < 2000 + 400 * 10  # what comes anew meanwhile
        told = {
            sample.labels["limit"]: sample.value
            for family in LimitCollector(built.limits).collect()
            if family.name == "gateway_limit_refusals"
            for sample in family.samples
        }
        assert told == {"address": 0, "partner": 0} | {limit: 1}


async def test_a_refusal_by_the_partners_limit_takes_nothing_from_the_address(identity: Identity) -> None:
    config = rig.settings(identity, None, address_rate=0.001, address_burst=1000, partner_rate_saas=40)
    async with running(config) as built:
        head = remembered(request(TARGET, User(identity, plan="SAAS").bearer(), peer=rig.an_address()))
        passed = refusals = 0
        while refusals < 3:
            if isinstance(await decide(built, head), Forward):
                passed += 1
            else:
                refusals += 1
        lease = built.limits.addresses.lease(head.peer, time.monotonic())
        assert 1000 - lease.level - lease.tokens == passed + refusals


async def test_a_token_that_ends_is_not_let_pass_after_it(
    verdict: BuiltVerdict, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = remembered(request(TARGET, User(identity).bearer(exp=int(time.time()) + 8)))
    async with repeating(verdict, head) as repeated:
        monkeypatch.setattr(verdict.core._repeats, "_now", lambda: time.monotonic() + 9)
        await forwarded(verdict, head)
    assert repeated == [True, False], "while the statement of identity would be good for longer"


async def test_a_plan_ends_by_the_time_of_day(
    verdict: BuiltVerdict, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that slept: its monotonic clock stood still."""
    user = User(identity)
    ends = time.time() + 1000
    identity.plans[user.partner] = {"type": "SAAS", "until": ends}
    head = remembered(request(TARGET, user.bearer()))
    for _ in range(4):
        assert (await forwarded(verdict, head)).passage.plan == b"SAAS"
    monkeypatch.setattr(time, "time", lambda: ends + 1)
    for _ in range(4):
        assert (await forwarded(verdict, head)).passage.plan == b"FREE"


@pytest.mark.parametrize(
    ("peers", "more"),
    [
        pytest.param(("2001:db8:7::1", "2001:db8:7::2"), [[], []], id="one network of IPv6"),
        pytest.param(
            ("10.0.0.1", "10.0.0.2"),
            [[(b"x-forwarded-for", b"198.51.100.7")], [(b"x-forwarded-for", b"198.51.100.7")]],
            id="one caller behind two proxies",
        ),
        pytest.param(
            ("10.0.0.3", "10.0.0.3"),
            [[(b"x-forwarded-for", b"198.51.100.8")], [(b"x-forwarded-for", b"198.51.100.8"), (b"accept", b"*/*")]],
            id="two programs of one caller",
        ),
    ],
)
async def test_an_address_is_counted_as_whose_it_is(
    identity: Identity, peers: tuple[str, str], more: list[list[tuple[bytes, bytes]]]
) -> None:
    config = rig.settings(
        identity, None, address_rate=0.001, address_burst=300, trusted_proxies=(ip_network("10.0.0.0/8"),)
    )
    async with running(config) as built:
        bearer = User(identity).bearer()
        heads = [
            remembered(request(TARGET, bearer, *lines, peer=peer)) for peer, lines in zip(peers, more, strict=True)
        ]
        with counted(built) as repeated:
            for turn in range(300):
                await forwarded(built, heads[turn % 2])
            await refused(built, heads[0], 429)
            await refused(built, heads[1], 429)
        assert sum(repeated) > 100


async def test_routes_of_one_upstream_keep_what_is_their_own(identity: Identity, tmp_path: Path) -> None:
    file = tmp_path / "routes.json"
    named = [
        {"name": "open", "pattern": "/report-service/api/open", "upstream": "saas", "access": "public", "timeout": 1},
        {"name": "a", "pattern": "/report-service/api/a", "upstream": "saas", "timeout": 2},
        {"name": "b", "pattern": "/report-service/api/b", "upstream": "saas", "timeout": 3},
    ]
    file.write_text(json.dumps({"routes": named}))
    async with running(rig.settings(identity, None, routes_file=file)) as built:
        bearer = User(identity).bearer()
        for _ in range(2):
            opened = (await forwarded(built, request(b"/report-service/api/open", method=b"POST"))).passage
            logged_in = (await forwarded(built, request(b"/auth/login", method=b"POST"))).passage
            assert (opened.upstream, opened.timeout, logged_in.upstream) == ("saas", 1, "identity")
            for path, timeout in ((b"a", 2), (b"b", 3)):
                passage = (await forwarded(built, request(b"/report-service/api/" + path, bearer))).passage
                assert passage.timeout == timeout
