"""What the steps of one request hand on to each other, and what is remembered of one token."""

from __future__ import annotations

from msgspec import Struct

from coffee_core.cache.entry import CachedEntry
from gateway.verdict.decision import Passage, RequestHead
from gateway.verdict.headers import ReadHead
from gateway.verdict.plan import PREFIX as PLAN
from gateway.verdict.plan import Grant
from gateway.verdict.routes import UNROUTED, Route
from gateway.verdict.session import PREFIX as SESSION
from gateway.verdict.session import Session
from gateway.verdict.token import Claims


class Exchange(Struct, gc=False):
    """One request on its way through the steps."""

    head: RequestHead
    read: ReadHead
    now: float
    request_id: bytes
    address: str
    subscriber: str
    """By what limits know the address."""
    route: Route = UNROUTED
    target: bytes = b""
    """As the upstream will see it."""
    trusted: list[bytes] | None = None
    """The hops that a trusted proxy vouches for; `None` where the peer is none."""
    token: bytes = b""
    from_cookie: bool = False
    missed: tuple[bool, bool] = (False, False)
    """Whether session and plan had to be looked up beyond this process."""
    answer: bytes = b""
    """Lines for the answer that the steps have gathered: rate limits and CORS."""


class Built(Struct, frozen=True, gc=False):
    """The identity lines for one upstream, ready to send."""

    lines: bytes
    route: Route
    passage: Passage
    """By that route."""
    session: CachedEntry[Session]
    plan: CachedEntry[Grant]
    until: float
    """On the monotonic clock: from then on they are signed anew."""


WEIGHT = 3000
"""Bytes of a record with the statements for two upstreams, measured; the token comes on top."""


class TokenRecord(Struct, eq=False, gc=False):
    """A token whose signature was checked. It vouches for nothing by itself: session and plan are looked at anew for
    each request, at the price of two comparisons while the entries that it holds are fresh.
    """

    claims: Claims
    weight: int
    """Bytes, the token included."""
    valid_until: float
    """On the monotonic clock."""
    session_key: str
    plan_key: str
    session: CachedEntry[Session] | None = None
    plan: CachedEntry[Grant] | None = None
    built: dict[str, Built] = {}
    """By upstream."""


def record_of(claims: Claims, size: int, valid_until: float) -> TokenRecord:
    """Of a token of so many bytes."""
    return TokenRecord(claims, size + WEIGHT, valid_until, SESSION + claims.sid, PLAN + claims.partner_id)
