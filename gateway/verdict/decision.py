"""What goes into the verdict and what comes out: the only types that the data plane and the edge share with it.

Those of every request are Structs: one is made in half the time of a tuple with names, and read in a quarter. They
refer to nothing that refers to them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from coffee_core.wire.request_memory import KnownHeaders

HeaderList: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Names in lower case, values stripped, in the order they came."""


class RequestHead(Struct, frozen=True, gc=False):
    """One request's head, already read strictly (coffee_core.wire): one Host, no control bytes, one body framing."""

    method: bytes
    target: bytes
    """Origin-form as sent: raw path and query."""
    headers: HeaderList
    peer: str
    """The address that opened the connection."""
    scheme: bytes
    """`http` or `https`, of the connection."""
    known: KnownHeaders | None = None
    """Where the same headers came before: what the verdict makes of them is kept there."""


class Refused(NamedTuple):
    """The gateway's own answer: a problem (RFC 9457)."""

    status: int
    title: str
    detail: str
    headers: HeaderList
    """For example retry-after, www-authenticate, ratelimit."""
    request_id: bytes
    route: str


class Answered(NamedTuple):
    """The gateway's own answer without a body: a CORS preflight (204)."""

    status: int
    headers: HeaderList
    request_id: bytes
    route: str


class Passage(Struct, eq=False, gc=False):
    """Where a caller's requests by one route go, and on whose behalf: the same for many of them."""

    upstream: str
    """Name of the upstream group."""
    route: str
    """Name of the matched route, for logs and metrics."""
    partner: bytes
    plan: bytes
    uid: bytes
    timeout: float = 0.0
    """Seconds from the end of the request to the head of its answer; 0: as the upstream's settings say."""
    logged: tuple[bytes, bytes] | None = None
    """What the access log makes of the fields above, once."""
    told: tuple[bytes, bytes] | None = None
    """What a proxy that asks is told of them."""


class Forward(Struct, frozen=True, gc=False):
    """Send it on."""

    passage: Passage
    target: bytes
    """Normalised path and query as the upstream must see them; the decision was made on exactly this path."""
    head: bytes
    """Header lines for the upstream, each ending in CRLF: the caller's end-to-end headers that pass, then identity,
    forwarding and request id. Without Host, framing (content-length, transfer-encoding), connection, upgrade and
    expect: those are the data plane's."""
    answer_head: bytes
    """Header lines to add to the upstream's answer (request id, rate limit, CORS), each ending in CRLF."""
    request_id: bytes

    @property
    def route(self) -> str:
        """Of the passage, by the name that every decision has for it."""
        return self.passage.route


class Local(Struct, frozen=True):
    """One of the gateway's own routes (health, metrics, docs ...): the edge application answers."""

    request_id: bytes
    route: str
    said: bytes = b""
    """On operators' routes: the identity lines, as the upstream `identity` would get them."""
    plan: bytes = b""
    """The caller's, where a session was asked for and found."""
    address: str = ""
    """On operators' routes: the caller's, as trusted proxies tell it."""


Decision: TypeAlias = Refused | Answered | Forward | Local


class Verdict(Protocol):
    """Decides synchronously when the caches know enough; returns an awaitable only on a miss."""

    def decide(self, head: RequestHead) -> Decision | Awaitable[Decision]:
        """Never raises for anything a caller sent; `Refused` is an outcome."""
        ...
