"""The last step: the lines that the upstream gets, with identity said once, plainly and signed."""

from __future__ import annotations

import time
from typing import Final

from coffee_core.cache.entry import CachedEntry
from coffee_core.domain.plan import Plan
from gateway.verdict.decision import Forward, Local, Passage
from gateway.verdict.exchange import Built, Exchange, TokenRecord
from gateway.verdict.forwarding import LINES, Sent, lines_trusted, trace_trusted
from gateway.verdict.identity_statement import PLANS
from gateway.verdict.parts import Parts
from gateway.verdict.plan import Grant
from gateway.verdict.routes import Route
from gateway.verdict.session import Session

NEW_TRACE: Final = b"traceparent: 00-"
NO_FLAGS: Final = b"-00\r\n"
"""The beginning and the end of a trace of ours: its number is the request's id, and the span's is a part of that (W3C
Trace Context)."""
NO_END: Final = float("inf")
NEVER: Final = b"never said"
"""Of a head that no other request may have."""


class Forwarder:
    """Builds `Forward`s; what it signed it uses again for a part of its lifetime."""

    def __init__(self, parts: Parts) -> None:
        self._signer = parts.signer
        self._cookie = parts.cookie
        self._credentials_for = parts.credentials_for
        self._nobody: dict[tuple[str, str, float], Passage] = {}
        """Of anonymous callers, by route."""

    def known(
        self, x: Exchange, record: TokenRecord, session: CachedEntry[Session], plan: CachedEntry[Grant], grant: Grant
    ) -> Forward:
        """For a caller with a session."""
        upstream = x.route.upstream
        built = record.built.get(upstream)
        if (
            built is None
            or built.session is not session
            or built.plan is not plan
            or x.now >= built.until
            or built.passage.plan is not PLANS[grant.plan]  # its end has come, by the time of day
        ):
            built = self._build(x, record, session, plan, grant)
        passage = built.passage
        if built.route is not x.route:
            passage = _passage(x.route, passage.partner, passage.plan, passage.uid)
        return self._forward(x, built.lines, passage)

    def here(
        self, x: Exchange, record: TokenRecord, session: CachedEntry[Session], plan: CachedEntry[Grant], grant: Grant
    ) -> Local:
        """For an operator at one of the gateway's own routes."""
        built = self._build(x, record, session, plan, grant)
        return Local(x.request_id, x.route.name, built.lines, address=x.address)

    def _build(
        self,
        x: Exchange,
        record: TokenRecord,
        session: CachedEntry[Session],
        plan: CachedEntry[Grant],
        grant: Grant,
    ) -> Built:
        """The gateway's own routes have no upstream: there the caller is named as to `identity`."""
        route, signer, claims, now = x.route, self._signer, record.claims, time.time()
        upstream = route.upstream or "identity"
        end = NO_END if session.value is None else session.value.expires
        if grant.until is not None and grant.until < end:
            end = grant.until
        seconds = signer.reuse
        if end < now + seconds:
            seconds = end - now  # or less than none: then it is not used again
        said = signer.lines(upstream, claims, grant.plan, now=now, until=end)
        passage = _passage(route, claims.partner_id.encode(), PLANS[grant.plan], claims.uid.encode())
        built = record.built[upstream] = Built(said, route, passage, session, plan, x.now + seconds)
        return built

    def anonymous(self, x: Exchange) -> Forward:
        """Without an identity: there is no identity header at all."""
        route = x.route
        named = (route.name, route.upstream, route.timeout)  # a name alone may be another route's as well
        passage = self._nobody.get(named)
        if passage is None:
            passage = self._nobody[named] = _passage(route, b"", Plan.FREE.name.encode(), b"")
        return self._forward(x, b"", passage)

    def _forward(self, x: Exchange, said: bytes, passage: Passage) -> Forward:
        read = x.read
        # most likely these headers were here before, from the same address and of the same caller
        if read.said is not said or read.peer != x.head.peer or not read.start:
            self._begin(x, said)
        return forward(passage, x.target, read.start, read.traced, x.request_id, x.answer)

    def _begin(self, x: Exchange, said: bytes) -> None:
        """All but the trace and the request's id: the lines that pass, those of the identity, and those of forwarding.

        It depends on headers, peer and what is `said`, which tells upstreams apart as well. Where nothing is, the next
        one may get credentials that this one does not.
        """
        head, read, hops = x.head, x.read, x.trusted
        of = read.frame or read
        if hops is not None:
            lines = lines_trusted(Sent(head.peer.encode(), head.scheme, read.host), hops, read.forwarding)
            trace = trace_trusted(read.forwarding)
        else:
            if of.lines_peer != head.peer or not of.lines:
                of.lines_peer, of.lines = head.peer, LINES % (head.peer.encode(), head.scheme, read.host)
            lines, trace = of.lines, b""
        passing = read.passing
        if read.cookies or x.route.upstream in self._credentials_for:
            passing += self._credentials(x)
        read.traced = bool(trace)
        read.start = b"".join((passing, said, lines, trace or NEW_TRACE))
        read.said = said if said or not (read.cookies or read.authorizations) else NEVER
        read.peer = head.peer

    def _credentials(self, x: Exchange) -> bytes:
        """The lines of those that pass: cookies but for the session's; that one, and Authorization, for those upstreams
        alone that use them."""
        read = x.read
        if x.route.upstream in self._credentials_for:
            lines = [b"cookie: %b\r\n" % cookie for cookie in read.cookies]
            if read.authorizations == 1:
                lines.append(b"authorization: %b\r\n" % read.authorization)
            return b"".join(lines)
        others = self._cookie.without(read.cookies)
        return b"cookie: %b\r\n" % others if others else b""


def forward(  # noqa: PLR0917 - by place: this runs for every request
    passage: Passage, target: bytes, start: bytes, traced: bool, request_id: bytes, answer: bytes
) -> Forward:
    """One request, whose forward head begins with `start`; with `traced` the trace is in there."""
    named = b"x-bb-requestid: %b\r\n" % request_id
    if traced:
        lines = start + named
    else:
        digits = request_id.replace(b"-", b"")
        lines = b"".join((start, digits, b"-", digits[16:], NO_FLAGS, named))
    return Forward(passage, target, lines, named + answer, request_id)


def _passage(route: Route, partner: bytes, plan: bytes, uid: bytes) -> Passage:
    return Passage(route.upstream, route.name, partner, plan, uid, route.timeout)
