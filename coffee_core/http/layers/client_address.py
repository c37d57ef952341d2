"""Layer: the caller's address and scheme, as far as trusted proxies vouch for them."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from ipaddress import ip_address
from typing import Final

from coffee_core.http.settings import Network
from coffee_core.wire.message import Handler, Layer, Request, Response

REMEMBERED: Final = 4096
"""Peers whose trust is remembered, so that a request costs a look-up."""

HOPS_MAX: Final = 32
"""Addresses of `x-forwarded-for` that are looked at, from the nearest."""


class TrustedProxies:
    """The networks whose word is taken."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)
        self._known: dict[str, bool] = {}

    def __contains__(self, address: str) -> bool:
        known = self._known.get(address)
        if known is None:
            known = self._look(address)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[address] = known
        return known

    def _look(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(mapped in network for network in self._networks)

    def client(self, peer: str, forwarded_for: bytes) -> str:
        """The nearest address that is no trusted proxy, from right to left: what stands before it anybody could have
        written. A hop that is no address ends the chain."""
        address = peer
        for hop in reversed(forwarded_for.split(b",")[-HOPS_MAX:]):
            try:
                address = str(ip_address(hop.strip().decode("latin-1")))
            except ValueError:
                break
            if address not in self:
                break
        return address


def client_address(networks: Sequence[Network]) -> Layer:
    """Set `request.client` and `request.scheme` where the peer is trusted to know them better than the connection."""
    trusted = TrustedProxies(networks)

    def layer(following: Handler) -> Handler:
        def handle(request: Request) -> Awaitable[Response]:
            headers = request.headers
            forwarded_for = headers.get(b"x-forwarded-for")
            scheme = headers.get(b"x-forwarded-proto")
            if (forwarded_for is not None or scheme is not None) and request.client in trusted:
                if forwarded_for is not None:
                    request.client = trusted.client(request.client, forwarded_for)
                if scheme in (b"http", b"https"):
                    request.scheme = scheme.decode()
            return following(request)

        return handle

    return layer
