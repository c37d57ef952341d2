"""The verdict: the steps of a request through the gateway, once, in order. No transport; synchronous on cache hits.

read      headers sorted, identity headers of the caller gone           headers.py, names.py
route     one meaning of the path, one route for it, else 404           routes.py
repeat    a request like the one before goes on to `forward`            repeats.py
origin    CORS preflights are answered here                             cors.py
address   who is not wanted, then the limit of the address              admittance.py, meter.py
token     bearer or cookie, verified once, remembered                   token.py, cookies.py
session   process, Redis, identity                                      session.py
plan      process, Redis, identity                                      plan.py
partner   limit of the partner, by plan, and limits of the route        limits.py
forward   identity lines, forwarding lines, request id                  identity_statement.py, forwarding.py
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable
from functools import partial

from coffee_core.cache.entry import CachedEntry
from coffee_core.domain.errors import UnavailableError
from coffee_core.wire.errors import WireError
from coffee_core.wire.target import check_query, is_query
from gateway.verdict.admission import Admission
from gateway.verdict.asked import Asked
from gateway.verdict.cache_status import HEADER as CACHE_STATUS
from gateway.verdict.cache_status import cache_status
from gateway.verdict.cors import lines
from gateway.verdict.decision import Answered, Decision, Local, Refused, RequestHead
from gateway.verdict.exchange import Exchange, TokenRecord, record_of
from gateway.verdict.forward import Forwarder
from gateway.verdict.forwarding import subscriber
from gateway.verdict.headers import HeaderReader, ReadHead, new_request_id
from gateway.verdict.meter import ASK, Meter
from gateway.verdict.parts import Parts
from gateway.verdict.plan import FREE, Grant
from gateway.verdict.refusals import CHALLENGE, INVALID, Refusals, retry_after
from gateway.verdict.repeats import Repeats
from gateway.verdict.routes import OPERATOR, OPTIONAL, PUBLIC, Route
from gateway.verdict.session import Session
from gateway.verdict.token import BadToken, Claims

log = logging.getLogger(__name__)

LOGIN = "this needs a session: send `Authorization: Bearer <token>` or the session cookie"
EXPIRED = "the token is not valid, or its session has ended: log in again"
NOTHING_HERE = "nothing is here: services are below /{name}-service/, and /docs describes them"


class VerdictCore:
    """Implements `Verdict`, and for `Asked` the steps that come after."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._reader = HeaderReader()
        self._refusals = Refusals(parts.cors)
        self._proxied = parts.proxies.any
        self._routes = parts.routes
        self._known = parts.routes.known.get
        self._addresses = parts.limits.addresses
        self._rules = parts.rules if parts.rules.any else None
        self._partners = parts.limits.partners
        self._admission = Admission(parts.limits, self._too_many)
        self._tokens_get = parts.tokens.get
        self._sessions = parts.sessions
        self._plans = parts.plans
        self._forwarder = Forwarder(parts)
        self._repeats = Repeats(parts)
        self._now = time.monotonic

    def decide(  # noqa: C901, PLR0912, PLR0915 - in pieces it would be slower: this runs for every request
        self, head: RequestHead
    ) -> Decision | Awaitable[Decision]:
        """The decision, at once when the caches know enough. Nothing that a caller sends makes it raise."""
        read = head.known.note if head.known is not None else None
        if not isinstance(read, ReadHead):
            read = self._reader.read(head)
        peer = head.peer
        path, _, query = head.target.partition(b"?")
        known = self._known((head.method, path))
        if known is not None and (not query or is_query(query)):
            x, route, target = None, known.route, known.path + b"?" + query if query else known.path
        else:
            x = Exchange(head, read, self._now(), read.request_id or new_request_id(), peer, peer)
            if known is not None:
                x.route = known.route  # whose query is none
            refused = self._route(x, path, query)
            if refused is not None:
                return refused
            route, target = x.route, x.target
        passed = read.passed
        if passed is not None and passed.route is route:
            forward = self._repeats.again(passed, read, peer, target)
            if forward is not None:
                return forward
        if x is None:
            x = Exchange(head, read, self._now(), read.request_id or new_request_id(), peer, peer, route, target)
        if read.noted:
            refused = self._origin(x)
            if refused is not None:
                return refused
        if self._proxied or ":" in peer:
            self._find_address(x)
        if self._rules is not None:
            objection = self._rules.objection(x.address, x.route.name, head.headers)
            if objection is not None:
                return self._refuse(x, 403, objection)
        now = x.now
        if route.limited:
            addresses = self._addresses
            if addresses.at_hand(x.subscriber, now) < 0:
                left = addresses.take(x.subscriber, now)
                if left < 0:
                    return self._ask_address(x) if left == ASK else self._too_many(x, addresses, -left)
        access = route.access
        if access is PUBLIC:
            return self._anonymously(x)
        if read.authorizations:
            x.token = read.bearer
        elif read.cookies:  # they count where there is no Authorization at all
            x.token = self._parts.cookie.token(read.cookies)
            x.from_cookie = True
        if not x.token:
            return self._anonymously(x) if access is OPTIONAL else self._refuse(x, 401, LOGIN, CHALLENGE)
        record = self._tokens_get(x.token)
        if record is None or now >= record.valid_until:
            return self._verify(x)
        sessions, plans = self._sessions, self._plans
        session, plan = record.session, record.plan
        if session is None or now >= session.fresh_until or session.epoch != sessions.epoch:
            session = sessions.peek(record.session_key)
            if session is None:
                return self._ask(x, record)
        else:
            sessions.stats.hits += 1
        if plan is None or now >= plan.fresh_until or plan.epoch != plans.epoch:
            plan = plans.peek(record.plan_key)
            if plan is None:
                return self._ask(x, record)
        else:
            plans.stats.hits += 1
        return self._settle(x, record, session, plan)

    # read, route, origin, address

    def _route(self, x: Exchange, sent: bytes, query: bytes) -> Decision | None:
        """Of a path that is not known, or with a query that is none."""
        method = x.head.method
        try:
            if query:
                check_query(query)
            route, path = self._routes.route(method, sent)
        except WireError as error:
            return self._refuse(x, 400, error.detail)
        x.target = path + b"?" + query if query else path
        if isinstance(route, Route):
            x.route = route
            return None
        if route.allowed and method != b"OPTIONS":
            allow = (b"allow", b", ".join(sorted(route.allowed)))
            return self._refuse(x, 405, "this is not a method of this resource", allow)
        return None if self._is_preflight(x) else self._refuse(x, 404, NOTHING_HERE)

    def _is_preflight(self, x: Exchange) -> bool:
        noted = x.read.noted
        return x.head.method == b"OPTIONS" and b"origin" in noted and b"access-control-request-method" in noted

    def _origin(self, x: Exchange) -> Decision | None:
        origin = x.read.noted.get(b"origin")
        if origin is None:
            return None
        if self._is_preflight(x):
            if not self._parts.cors.allows(origin):
                return self._refuse(x, 403, "pages of this origin may not call this")
            return Answered(204, self._parts.cors.preflight(origin), x.request_id, "preflight")
        x.answer = lines(self._parts.cors.pairs(origin))
        return None

    def _find_address(self, x: Exchange) -> None:
        proxies = self._parts.proxies
        if proxies.any and x.head.peer in proxies:
            chain = x.read.forwarding.get(b"x-forwarded-for", b"")
            x.address, x.trusted = proxies.client(x.head.peer, chain)
        x.subscriber = subscriber(x.address) if ":" in x.address else x.address

    async def _ask_address(self, x: Exchange) -> Decision:
        """The address has no token in hand: with one, the same steps again."""
        refused = await self._admission.address(x)
        return refused or await _settled(self.decide(x.head))

    # token, session, plan

    def _verify(self, x: Exchange) -> Decision | Awaitable[Decision]:
        """A token that is met for the first time, and the same steps from there."""
        try:
            claims = self._parts.verifier.verify(x.token)
        except BadToken as bad:
            return self._bad(x, bad)
        if isinstance(claims, Claims):
            return self._ask(x, self._remember(x, claims))
        return self._verify_later(x, claims)

    async def _verify_later(self, x: Exchange, claims: Awaitable[Claims]) -> Decision:
        try:
            record = self._remember(x, await claims)
        except BadToken as bad:
            return await _settled(self._bad(x, bad))
        except UnavailableError as error:
            return await _settled(self.unknown(x, error))
        return await _settled(self._ask(x, record))

    def _remember(self, x: Exchange, claims: Claims) -> TokenRecord:
        seconds = min(claims.expires - time.time(), self._parts.token_seconds)
        record = record_of(claims, len(x.token), x.now + seconds)
        self._parts.tokens.set(x.token, record)
        return record

    def _bad(self, x: Exchange, bad: BadToken) -> Decision | Awaitable[Decision]:
        log.debug("token refused: %s", bad)
        return self._anonymously(x) if x.route.access is OPTIONAL else self._refuse(x, 401, EXPIRED, INVALID)

    def _ask(self, x: Exchange, record: TokenRecord) -> Decision | Awaitable[Decision]:
        """The same steps where a cache has to be filled."""
        sessions, plans = self._sessions, self._plans
        session, plan = sessions.peek(record.session_key), plans.peek(record.plan_key)
        if session is not None and plan is not None:
            return self._settle(x, record, session, plan)
        x.missed = (session is None, plan is None)
        asked = Asked(x, record, session, plan, self)
        try:
            asked.ask(sessions, plans)
        except UnavailableError as error:
            return self.unknown(x, error)
        return asked

    def found(
        self, x: Exchange, record: TokenRecord, session: CachedEntry[Session], plan: CachedEntry[Grant]
    ) -> Decision | Awaitable[Decision]:
        """Of `Steps`."""
        x.now = self._now()
        if not session.stale_until or not plan.stale_until:  # killed while the other one was looked up
            return self._ask(x, record)
        return self._settle(x, record, session, plan)

    def unknown(self, x: Exchange, error: UnavailableError) -> Decision | Awaitable[Decision]:
        """Of `Steps`."""
        if x.route.access is OPTIONAL:
            return self._anonymously(x)
        return self._refuse(x, 503, error.detail, retry_after(error.retry_after))

    def _settle(  # noqa: C901, PLR0912 - as `decide`
        self, x: Exchange, record: TokenRecord, session: CachedEntry[Session], plan: CachedEntry[Grant]
    ) -> Decision | Awaitable[Decision]:
        """All is known: session and plan are applied to the route."""
        route, found = x.route, session.value
        grant = plan.value or FREE
        if grant.until is not None and grant.until <= time.time():
            grant = FREE
        if found is None or (record.session is not session and not self._agree(record, session)):
            if route.access is OPTIONAL:
                return self._anonymously(x)
            return self._refuse(x, 401, EXPIRED, INVALID)
        record.plan = plan
        if x.from_cookie and self._foreign(x):
            return self._forged(x)
        if found.operator and CACHE_STATUS in x.read.noted:
            x.answer += cache_status(x, session, plan)
        if route.access is OPERATOR and not found.operator:
            return self._refuse(x, 403, "this is for operators")
        if grant.plan < route.plan:
            return self._refuse(x, 402, f"this needs the plan {route.plan.name}; yours is {grant.plan.name}")
        if not route.upstream:
            if route.access is OPERATOR:
                return self._forwarder.here(x, record, session, plan, grant)
            return Local(x.request_id, route.name, plan=grant.plan.name.encode())
        meter: Meter | None = None
        if route.limited:
            if route.limits:
                return self._admit(x, record, session, plan, grant)
            meter = self._partners[grant.plan]
            left = meter.at_hand(record.claims.partner_id, x.now)
            if left < 0:
                left = meter.take(record.claims.partner_id, x.now)
                if left == ASK:
                    return self._admit(x, record, session, plan, grant)
                if left < 0:
                    return self._too_many(x, meter, -left)
            x.answer += meter.lines(left)
        forward = self._forwarder.known(x, record, session, plan, grant)
        self._repeats.note(x, record, meter, forward.passage, grant.until)
        return forward

    def _admit(
        self,
        x: Exchange,
        record: TokenRecord,
        session: CachedEntry[Session],
        plan: CachedEntry[Grant],
        grant: Grant,
    ) -> Decision | Awaitable[Decision]:
        """Where several limits count, or the ledger has to be asked."""
        forward = partial(self._forwarder.known, x, record, session, plan, grant)
        return self._admission.known(x, record.claims, grant.plan, forward)

    def _agree(self, record: TokenRecord, session: CachedEntry[Session]) -> bool:
        """Whether token and session speak of the same caller, and the session has not ended."""
        claims, found = record.claims, session.value
        if found is None or found.expires <= time.time():
            return False
        if found.uid == claims.uid and found.partner_id == claims.partner_id and found.account_id == claims.account_id:
            record.session = session
            return True
        record.session = None
        return False

    def _anonymously(self, x: Exchange) -> Decision | Awaitable[Decision]:
        route, noted = x.route, x.read.noted
        if not route.upstream:
            return Local(x.request_id, route.name)
        by_browser = (x.token and x.from_cookie) or b"origin" in noted
        if route.access is OPTIONAL and by_browser and self._foreign(x):
            return self._forged(x)  # a foreign page must neither end a session nor begin one
        if route.limits:
            return self._admission.anonymous(x, partial(self._forwarder.anonymous, x))
        return self._forwarder.anonymous(x)

    def _foreign(self, x: Exchange) -> bool:
        """Whether a foreign page may have made this request."""
        own, scheme = x.read.host, x.head.scheme
        if x.trusted is not None:
            own = x.read.forwarding.get(b"x-forwarded-host", own)
            scheme = x.read.forwarding.get(b"x-forwarded-proto", scheme).lower()
        return self._parts.cors.forgery(x.head.method, x.read.noted, own, secure=scheme == b"https")

    # refusals

    def _refuse(self, x: Exchange, status: int, detail: str, *more: tuple[bytes, bytes]) -> Refused:
        origin = x.read.noted.get(b"origin", b"")
        return self._refusals.refuse(status, detail, x.request_id, x.route.name, origin, *more)

    def _forged(self, x: Exchange) -> Refused:
        return self._refuse(
            x,
            403,
            "a request with a session cookie must come from a page of ours: send an Origin that is allowed, "
            "`Sec-Fetch-Site: same-origin`, or the header `x-csrf-token`; programs use `Authorization: Bearer`",
        )

    def _too_many(self, x: Exchange, meter: Meter, seconds: float) -> Refused:
        return self._refuse(x, 429, "too many requests", retry_after(seconds), *meter.pairs())


async def _settled(decision: Decision | Awaitable[Decision]) -> Decision:
    return await decision if isinstance(decision, Awaitable) else decision
