"""How often one address, one user, one partner, one plan may ask, and a route be asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.verdict.decision import Forward
from gateway.verdict.forwarding import subscriber
from gateway.verdict.limits import LimitCollector
from gateway.verdict.meter import Meter
from gateway.verdict.quota import Kind, Quota
from tests.gateway.verdict import rig
from tests.gateway.verdict.rig import TARGET, Identity, User, decide, forwarded, refused, request


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    meter = Meter(Quota("address", 3, 0.3))
    assert [meter.take("a", 0.0) for _ in range(3)] == [2, 1, 0]
    assert meter.take("a", 0.0) < 0
    assert abs(meter.take("a", 0.05) + 0.05) < 1e-9
    assert meter.take("a", 0.1001) >= 0
    assert meter.take("b", 0.1) == 2
    assert meter.take("a", 1000.0) == 2


def test_a_window_gives_its_amount_in_any_such_time() -> None:
    meter = Meter(Quota("login", 4, 10.0, Kind.WINDOW))
    assert [meter.take("a", 1000.0) for _ in range(4)] == [3, 2, 1, 0]
    assert meter.take("a", 1009.9) < 0
    wait = meter.take("a", 1010.0)
    assert wait == pytest.approx(-2.5)  # a quarter of the old window has to be outside
    assert meter.take("a", 1012.4) < 0
    assert meter.take("a", 1012.6) >= 0
    assert meter.take("a", 1012.7) < 0
    assert meter.take("a", 1100.0) == 3


def test_the_number_of_callers_is_bounded() -> None:
    meter = Meter(Quota("address", 1, 1.0), max_callers=3)
    for name in "abcd":
        meter.take(name, 0.0)
    assert len(meter._leases) == 3
    assert meter.take("d", 0.0) < 0


def test_who_is_silent_is_forgotten_and_who_is_not_is_not() -> None:
    meter = Meter(Quota("address", 1, 1000.0))
    meter.take("silent", 0.0)
    meter.take("asking", 0.0)
    assert meter.take("asking", 9.0) < 0
    meter.forget(11.0)
    assert list(meter._leases) == ["asking"]


def test_a_subscriber_of_ipv6_is_a_network_of_64_bits() -> None:
    assert subscriber("2001:db8:1:2::1") == subscriber("2001:db8:1:2:ffff::9")
    assert subscriber("2001:db8:1:2::1") != subscriber("2001:db8:1:3::1")
    assert subscriber("192.0.2.1") == "192.0.2.1"
    assert subscriber("::ffff:192.0.2.1") == "192.0.2.1", "as a socket for both spells it"
    assert subscriber("::rubbish") == "::rubbish"


@pytest.fixture(params=["with Redis", "without"])
def shared_url(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("redis_url") if request.param == "with Redis" else None


async def test_an_address_that_asks_too_often_is_told_when_to_come_back(
    identity: Identity, shared_url: str | None
) -> None:
    async with rig.running(rig.settings(identity, shared_url, address_rate=0.5, address_burst=2)) as built:
        here, there = rig.an_address(), rig.an_address()
        head = request(TARGET, (b"authorization", b"Bearer junk"), peer=here)
        for _ in range(2):
            await refused(built, head, 401)
        refusal = await refused(built, head, 429)
        headers = dict(refusal.headers)
        assert headers[b"retry-after"] == b"2"
        assert headers[b"ratelimit-policy"] == b'"address";q=2;w=4'
        assert headers[b"ratelimit"].startswith(b'"address";r=0;t=')
        await refused(built, request(TARGET, peer=there), 401)
        told = {
            sample.labels["limit"]: sample.value
            for family in LimitCollector(built.limits).collect()
            if family.name == "gateway_limit_refusals"
            for sample in family.samples
        }
        assert told == {"address": 1, "partner": 0}


async def test_probes_are_not_counted(identity: Identity, shared_url: str | None) -> None:
    async with rig.running(rig.settings(identity, shared_url, address_rate=0.001, address_burst=1)) as built:
        here = rig.an_address()
        for _ in range(5):
            assert not isinstance(await decide(built, request(b"/health/live", peer=here)), Forward)
        await refused(built, request(TARGET, peer=here), 401)
        await refused(built, request(TARGET, peer=here), 429)


async def test_a_partner_has_the_rate_of_his_plan_from_wherever_he_calls(
    identity: Identity, shared_url: str | None
) -> None:
    config = rig.settings(identity, shared_url, partner_rate_free=0.4, partner_rate_paid=100, partner_burst_seconds=5)
    async with rig.running(config) as built:
        free, paid = User(identity, "FREE"), User(identity, "PAID")
        forward = await forwarded(built, request(TARGET, free.bearer()))
        assert b'ratelimit-policy: "partner";q=2;w=5\r\nratelimit: "partner";r=1;t=3\r\n' in forward.answer_head
        await forwarded(built, request(TARGET, free.bearer(), peer="203.0.113.77"))
        await refused(built, request(TARGET, free.bearer(), peer="203.0.113.78"), 429)
        for _ in range(20):
            await forwarded(built, request(TARGET, paid.bearer()))


ROUTES = {
    "limits": [
        {"name": "by-user", "per": "user", "amount": 2, "seconds": 1000},
        {"name": "by-partner", "per": "partner", "amount": 3, "seconds": 1000, "kind": "window"},
        {"name": "by-plan", "per": "plan", "amount": 4, "seconds": 1000, "plans": {"SAAS": 1}},
        {"name": "by-address", "per": "address", "amount": 1, "seconds": 1000},
        {"name": "at-all", "per": "route", "amount": 2, "seconds": 1000, "kind": "window"},
    ],
    "routes": [
        {"name": "several", "pattern": "/report-service/**", "upstream": "saas", "limits": ["by-user", "by-partner"]},
        {"name": "planned", "pattern": "/planned-service/**", "upstream": "saas", "limits": ["by-plan"], "timeout": 5},
        {
            "name": "open",
            "pattern": "/open-service/**",
            "upstream": "saas",
            "access": "public",
            "limits": ["by-address", "at-all", "by-user"],
        },
    ],
}


async def test_a_route_may_have_limits_of_its_own_and_says_each(
    identity: Identity, redis_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "routes.json"
    own = json.loads(json.dumps(ROUTES).replace('"by-', f'"{rig.an_id()}-by-').replace('"at-', f'"{rig.an_id()}-at-'))
    file.write_text(json.dumps(own))
    prefix = own["limits"][0]["name"].removesuffix("by-user")
    async with rig.running(rig.settings(identity, redis_url, routes_file=file)) as built:
        one, other, saas = User(identity), User(identity), User(identity, "SAAS")
        forward = await forwarded(built, request(b"/report-service/1", one.bearer()))
        for said in ('"partner";q=', f'"{prefix}by-user";r=1', f'"{prefix}by-partner";r=2;t=1000'):
            assert said.encode() in forward.answer_head
        await forwarded(built, request(b"/report-service/2", one.bearer()))
        refusal = await refused(built, request(b"/report-service/3", one.bearer()), 429)
        assert dict(refusal.headers)[b"ratelimit-policy"] == f'"{prefix}by-user";q=2;w=1000'.encode()
        await forwarded(built, request(TARGET, one.bearer()))

        colleague = User(identity)
        colleague.partner, colleague.session["partnerId"] = one.partner, int(one.partner)
        await forwarded(
            built, request(b"/report-service/1", colleague.bearer())
        )  # the refused one cost nobody anything
        refusal = await refused(built, request(b"/report-service/2", colleague.bearer()), 429)
        assert f'"{prefix}by-partner"'.encode() in dict(refusal.headers)[b"ratelimit"]

        assert (await forwarded(built, request(b"/planned-service/1", saas.bearer()))).passage.timeout == 5
        await refused(built, request(b"/planned-service/1", User(identity, "SAAS").bearer()), 429)
        for user in (one, other, one, other):
            await forwarded(built, request(b"/planned-service/1", user.bearer()))
        await refused(built, request(b"/planned-service/1", User(identity).bearer()), 429)

        here = rig.an_address()
        await forwarded(built, request(b"/open-service/1", peer=here))
        await refused(built, request(b"/open-service/1", peer=here), 429)
        await forwarded(built, request(b"/open-service/1", peer=rig.an_address()))
        await refused(built, request(b"/open-service/1", peer=rig.an_address()), 429)
