"""Requests like one before: with the same headers, from the same address, by the same route, while session and plan of
their caller are what they were. The steps between route and forwarding would say the same again, so they are not taken;
limits count each request.

Callers with a bearer token alone: where a cookie vouches for one, or a page asks, the method counts as well.
"""

from __future__ import annotations

import time

from msgspec import Struct

from coffee_core.cache.entry import CachedEntry
from gateway.verdict.decision import Forward, Passage
from gateway.verdict.exchange import Exchange, TokenRecord
from gateway.verdict.forward import forward
from gateway.verdict.headers import ReadHead, new_request_id
from gateway.verdict.meter import Meter
from gateway.verdict.parts import Parts
from gateway.verdict.plan import Grant
from gateway.verdict.routes import Route
from gateway.verdict.session import Session


class Passed(Struct, frozen=True, eq=False, gc=False):
    """What let a request pass, and holds for the next one."""

    route: Route
    peer: str
    subscriber: str
    token: bytes
    record: TokenRecord
    session: CachedEntry[Session]
    plan: CachedEntry[Grant]
    until: float
    """On the monotonic clock: until then token and identity statement are good."""
    ends: float | None
    """When the plan does, by the time of day."""
    meter: Meter | None
    """The partner's, where the route is limited."""
    partner: str
    start: bytes
    """Of the forward head, up to the trace."""
    traced: bool
    """Whether the trace is in there."""
    passage: Passage


class Repeats:
    """Lets a request pass as the one before it, or says that the steps have to be taken."""

    def __init__(self, parts: Parts) -> None:
        self._sessions = parts.sessions
        self._plans = parts.plans
        self._session_stats, self._plan_stats = parts.sessions.stats, parts.plans.stats
        self._tokens_get = parts.tokens.get
        self._addresses = parts.limits.addresses
        self._now = time.monotonic

    def again(self, passed: Passed, read: ReadHead, peer: str, target: bytes) -> Forward | None:
        """A request with these headers, by this route. `None`: something is not as it was, and nothing was counted."""
        now = self._now()
        session, plan, sessions, plans = passed.session, passed.plan, self._sessions, self._plans
        if (
            now >= session.fresh_until
            or now >= plan.fresh_until
            or now >= passed.until
            or (passed.ends is not None and time.time() >= passed.ends)
            or session.epoch != sessions.epoch
            or plan.epoch != plans.epoch
            or passed.peer != peer
            or self._tokens_get(passed.token) is not passed.record
        ):
            return None
        meter = passed.meter
        answer = b""
        if meter is not None:
            addresses, subscriber = self._addresses, passed.subscriber
            if addresses.at_hand(subscriber, now) < 0:
                return None
            left = meter.at_hand(passed.partner, now)
            if left < 0:
                addresses.give_back(subscriber)
                return None
            answer = meter.lines(left)
        self._session_stats.hits += 1
        self._plan_stats.hits += 1
        return forward(
            passed.passage, target, passed.start, passed.traced, read.request_id or new_request_id(), answer
        )  # fmt: skip

    def note(self, x: Exchange, record: TokenRecord, meter: Meter | None, passage: Passage, ends: float | None) -> None:
        """A request that passes, on a plan that `ends`; the second one by the same route is what the next are like."""
        read, route, session, plan = x.read, x.route, record.session, record.plan
        if read.route is not route:
            read.route = route
            if read.passed is not None:
                read.passed = None
            return
        if x.head.known is None or x.from_cookie or read.noted or session is None or plan is None:
            return
        read.passed = Passed(
            route, x.head.peer, x.subscriber, x.token, record, session, plan,
            min(record.valid_until, record.built[route.upstream].until),
            ends, meter, record.claims.partner_id,
            read.start, read.traced, passage,
        )  # fmt: skip
