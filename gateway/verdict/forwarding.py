"""Where a request came from: what the connection says, and what a trusted proxy adds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

Network = IPv4Network | IPv6Network

_HOST = re.compile(rb"[A-Za-z0-9.\-_]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?").fullmatch
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
_TRACESTATE = re.compile(rb"[ -~]{1,512}").fullmatch
_FORWARDED = re.compile(rb"[A-Za-z0-9_=;,\"\[\]:.\- ]{1,1024}").fullmatch
HOPS = 32
"""Addresses of `x-forwarded-for` that are looked at, from the nearest; more are dropped."""
REMEMBERED = 4096
SHORT = 64
"""Bytes of a chain of hops that is remembered; longer ones are read each time."""


class TrustedProxies:
    """The networks whose word on forwarding is taken. An empty list trusts nobody."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)
        self.any = bool(self._networks)
        self._known: dict[str, bool] = {}
        self._clients: dict[tuple[str, bytes], tuple[str, list[bytes]]] = {}

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
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network for network in self._networks)

    def client(self, peer: str, chain: bytes) -> tuple[str, list[bytes]]:
        """The caller's address, and the hops of `x-forwarded-for` that are believed: from the nearest back to the
        first one that is no trusted proxy. What stands before that one anybody could have written. The list is not
        for changing: it is remembered.
        """
        found = self._clients.get((peer, chain))
        if found is None:
            found = self._walk(peer, chain)
            if len(chain) <= SHORT:
                if len(self._clients) >= REMEMBERED:
                    self._clients.clear()
                self._clients[peer, chain] = found
        return found

    def _walk(self, peer: str, chain: bytes) -> tuple[str, list[bytes]]:
        believed: list[bytes] = []
        address = peer
        for hop in reversed(chain.split(b",")[-HOPS:]):
            text = hop.strip().decode("latin-1")
            try:
                address = str(ip_address(text))
            except ValueError:
                break
            believed.append(address.encode())
            if address not in self:
                break
        believed.reverse()
        return address, believed


class Sent(NamedTuple):
    """What the connection says."""

    peer: bytes
    scheme: bytes
    host: bytes


LINES = b"x-forwarded-for: %b\r\nx-forwarded-proto: %b\r\nx-forwarded-host: %b\r\n"
"""The forwarding lines but for the trace: of `Sent`, where only the connection is believed."""


def lines_trusted(sent: Sent, hops: list[bytes], said: dict[bytes, bytes]) -> bytes:
    """The same where the peer is a trusted proxy that `said` some of its own."""
    proto = said.get(b"x-forwarded-proto", b"").lower()
    host = said.get(b"x-forwarded-host", b"")
    forwarded = said.get(b"forwarded", b"")
    lines = LINES % (
        b", ".join([*hops, sent.peer]),
        proto if proto in (b"http", b"https") else sent.scheme,
        host if _HOST(host) else sent.host,
    )
    if _FORWARDED(forwarded):
        node = b'"[%b]"' % sent.peer if b":" in sent.peer else sent.peer
        lines += b"forwarded: %b, for=%b\r\n" % (forwarded, node)
    return lines


def trace_trusted(said: dict[bytes, bytes]) -> bytes:
    """The lines of the trace that a trusted proxy has begun; empty if it has not."""
    trace, state = said.get(b"traceparent", b""), said.get(b"tracestate", b"")
    if _TRACEPARENT(trace) is None:
        return b""
    lines = b"traceparent: %b\r\n" % trace
    return lines + b"tracestate: %b\r\n" % state if _TRACESTATE(state) else lines


def subscriber(address: str) -> str:
    """Whom an address belongs to: in IPv6 one subscriber has 2^64 of them. A socket for both spells IPv4 in IPv6."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
        return str(parsed.ipv4_mapped or IPv6Network((int(parsed) >> 64 << 64, 64)))
    except ValueError:
        return address
