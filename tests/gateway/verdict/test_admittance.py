"""Addresses and programs that are not wanted, and routes that only some addresses may take."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.settings import GatewaySettings
from tests.gateway.verdict import rig
from tests.gateway.verdict.rig import TARGET, Identity, User, forwarded, refused, request


async def test_a_denied_network_is_refused_whoever_calls_and_whichever_proxy_it_comes_by(identity: Identity) -> None:
    config = rig.settings(
        identity, None, denied_networks="203.0.113.0/24, 2001:db8::/32", trusted_proxies="10.0.0.1", address_burst=3
    )
    async with rig.running(config) as built:
        user = User(identity)
        for peer in ("203.0.113.200", "2001:db8:1::1", "::ffff:203.0.113.1"):
            await refused(built, request(TARGET, user.bearer(), peer=peer), 403)
        behind = (b"x-forwarded-for", b"203.0.113.7")
        await refused(built, request(TARGET, user.bearer(), behind, peer="10.0.0.1"), 403)
        await forwarded(built, request(TARGET, user.bearer(), behind, peer="198.51.100.1"))  # not believed
        await forwarded(built, request(TARGET, user.bearer(), peer="10.0.0.1"))


@pytest.mark.parametrize(
    ("agent", "passes"),
    [
        (b"Mozilla/5.0 (compatible; BadBot/2.1)", False),
        (b"BADBOT", False),
        (b"curl/8.0", True),
        (b"goodbot", True),
        (b"scrapy " + b"x" * 600, False),
        (b"x" * 600, False),
        (None, False),
    ],
)
async def test_a_program_that_is_not_wanted_is_refused(identity: Identity, agent: bytes | None, passes: bool) -> None:
    config = rig.settings(identity, None, denied_agents="badbot, Scrapy", agents_must_be_named=True)
    async with rig.running(config) as built:
        named = () if agent is None else ((b"user-agent", agent),)
        head = request(TARGET, User(identity).bearer(), *named)
        for _ in range(2):
            await (forwarded(built, head) if passes else refused(built, head, 403))


async def test_two_user_agents_are_looked_at_together(identity: Identity) -> None:
    async with rig.running(rig.settings(identity, None, denied_agents="badbot")) as built:
        agents = ((b"user-agent", b"curl/8"), (b"user-agent", b"badbot"))
        await refused(built, request(TARGET, User(identity).bearer(), *agents), 403)
        await forwarded(built, request(TARGET, User(identity).bearer()))  # a nameless one passes unless told


async def test_a_route_may_be_for_some_networks_alone(identity: Identity, tmp_path: Path) -> None:
    file = tmp_path / "routes.json"
    route = {
        "name": "inside",
        "pattern": "/inside-service/**",
        "upstream": "saas",
        "networks": ["10.0.0.0/8", "::1/128"],
    }
    file.write_text(json.dumps({"routes": [route]}))
    async with rig.running(rig.settings(identity, None, routes_file=file)) as built:
        user = User(identity)
        for peer in ("10.1.2.3", "::1"):
            await forwarded(built, request(b"/inside-service/x", user.bearer(), peer=peer))
        await refused(built, request(b"/inside-service/x", user.bearer(), peer="11.0.0.1"), 403)
        await forwarded(built, request(TARGET, user.bearer(), peer="11.0.0.1"))


def test_a_network_that_is_none_stops_the_start() -> None:
    with pytest.raises(ValueError, match="denied_networks"):
        GatewaySettings(denied_networks="10.0.0.0/99")  # type: ignore[arg-type]
