"""Step 1: which route a request takes, and what it needs. What is not listed does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final, NamedTuple

from msgspec import Struct

from coffee_core.domain.plan import Plan
from coffee_core.wire.target import canonical_path

SERVICE = re.compile(rb"[a-z0-9]+(?:-[a-z0-9]+)*-service").fullmatch
ANY_SERVICE = "*-service"
KNOWN_SERVICES = 256
"""Names that the table remembers as services; further ones are matched each time."""
PATHS = 4096
"""Paths that the table remembers with their methods; when there are so many all are forgotten."""
LONGEST = 128
"""Bytes of a path that is remembered."""


class Access(Enum):
    """Who may take a route."""

    CLOSED = "closed"
    """Nobody from outside: it does not exist."""
    PUBLIC = "public"
    """Everybody; tokens are not looked at."""
    OPTIONAL = "optional"
    """Everybody; a good token is turned into an identity, a bad one is not held against the caller."""
    SESSION = "session"
    """Who has a session."""
    OPERATOR = "operator"
    """Who has a session whose JSON says `"operator": true`."""


# a member of an enumeration is looked up anew wherever it is named: these are for what runs for every request
PUBLIC: Final = Access.PUBLIC
OPTIONAL: Final = Access.OPTIONAL
OPERATOR: Final = Access.OPERATOR


class Route(Struct, frozen=True):
    """One line of the table. `pattern` is a path; a last segment `*` is any one segment, `**` is any number of them,
    none included; a first segment `*-service` is any service.
    """

    name: str
    """For logs and metrics."""
    pattern: str
    upstream: str
    """Name of the upstream group; empty for the gateway's own routes."""
    access: Access = Access.SESSION
    methods: frozenset[bytes] = frozenset()
    """Empty is any."""
    plan: Plan = Plan.FREE
    """The least plan that includes it."""
    limited: bool = True
    """Whether rate limits count it."""
    limits: tuple[str, ...] = ()
    """Names of further limits that count it."""
    timeout: float = 0.0
    """Seconds from the end of a request to the head of its answer; 0: as long as the upstream's other routes."""


UNROUTED = Route("unrouted", "", "", Access.CLOSED)
"""Of a request that has no route, or none yet."""

READ = frozenset((b"GET", b"HEAD"))
POST = frozenset((b"POST",))
PUT = frozenset((b"PUT",))
SHARED = "/{0}-service/api/{1}/byshareid/*"

GATEWAY_ROUTES = (
    Route("health", "/health/*", "", Access.PUBLIC, READ, limited=False),
    Route("heartbeat", "/heartbeat", "", Access.PUBLIC, READ, limited=False),
    Route("heartbeat-set", "/heartbeat", "", Access.OPERATOR, PUT),
    Route("metrics", "/metrics", "", Access.PUBLIC, READ, limited=False),
    Route("verdict", "/_gateway/verdict/**", "", Access.PUBLIC, limited=False),
    Route("operator-api", "/_gateway/api/**", "", Access.OPERATOR),
    Route("operator-page", "/_gateway/**", "", Access.PUBLIC, READ),
    Route("openapi", "/openapi.json", "", Access.OPTIONAL, READ),
    Route("docs", "/docs/**", "", Access.PUBLIC, READ),
)

SERVICE_ROUTES = (
    Route("identity-verify", "/identity-service/api/auth/verify/**", "identity", Access.CLOSED),
    Route("identity-plan", "/identity-service/api/partners/*/plan", "identity", Access.CLOSED),
    Route("auth", "/identity-service/api/auth/**", "identity", Access.OPTIONAL),
    Route("identity", "/identity-service/**", "identity"),
    Route("shared-profiles", SHARED.format("profile-collection", "collection"), "saas", Access.PUBLIC, READ),
    Route(
        "shared-profile-items",
        SHARED.format("profile-collection", "collection") + "/item",
        "saas",
        Access.PUBLIC,
        READ,
    ),
    Route("shared-posts", SHARED.format("post-collection", "collection"), "saas", Access.PUBLIC, READ),
    Route("shared-keywords", SHARED.format("keyword-collection", "collection"), "saas", Access.PUBLIC, READ),
    Route("shared-groups", SHARED.format("collection-group", "group"), "saas", Access.PUBLIC, READ),
    Route("me", "/me/entitlements", "saas", methods=READ),
    Route("social-profile", "/social-profile-service/**", "saas-data"),
    Route("service", f"/{ANY_SERVICE}/**", "saas"),
)

ALIASES: Mapping[bytes, bytes] = {b"/auth": b"/identity-service/api/auth"}
"""Public names of upstream paths. They are replaced before anything is decided."""


class _Rule(NamedTuple):
    route: Route
    exact: bytes
    """The whole path, without a trailing slash; empty for the patterns that take more."""
    under: re.Pattern[bytes] | None


class NoRoute(NamedTuple):
    """Nothing there (no `allowed`), or nothing by this method."""

    allowed: frozenset[bytes]


NOT_THERE = NoRoute(frozenset())


class Found(NamedTuple):
    """Where a request goes."""

    route: Route | NoRoute
    path: bytes
    """By which its upstream knows it: that one is decided about."""


class Known(Struct, frozen=True):
    """The same of a path that has one."""

    route: Route
    path: bytes


class RouteTable:
    """Routes in order: of those that match path and method the first is taken."""

    def __init__(self, routes: Iterable[Route], aliases: Mapping[bytes, bytes] = ALIASES) -> None:
        self.routes = tuple(routes)
        self.aliases = dict(aliases)
        self._aliases = {name[1:]: real for name, real in aliases.items()}
        self._by_first: dict[bytes, tuple[_Rule, ...]] = {}
        firsts = {_first(route.pattern.encode()) for route in self.routes}
        general = ANY_SERVICE.encode()
        for first in firsts - {general}:
            own = SERVICE(first) is not None
            self._by_first[first] = tuple(
                _rule(route, first)
                for route in self.routes
                if _first(route.pattern.encode()) in ((first, general) if own else (first,))
            )
        self._services = [route for route in self.routes if _first(route.pattern.encode()) == general]
        self.known: dict[tuple[bytes, bytes], Known] = {}
        """By method and path as it was sent; look here before `route`."""

    def route(self, method: bytes, path: bytes) -> Found:
        """The route of a path as it was sent; `WireError` 400 for one that has no single meaning. Where there is
        one, it is remembered: programs ask for the same resources."""
        found = self.find(method, canonical_path(path))
        if isinstance(found.route, Route) and len(path) <= LONGEST:
            if len(self.known) >= PATHS:
                self.known.clear()
            self.known[method, path] = Known(found.route, found.path)
        return found

    def find(self, method: bytes, path: bytes) -> Found:
        """The route of a canonical path."""
        end = path.find(b"/", 1)
        first = path[1:] if end < 0 else path[1:end]
        real = self._aliases.get(first)
        if real is not None:
            path = real + path[len(first) + 1 :]
            first = _first(path)
        rules = self._by_first.get(first)
        if rules is None:
            rules = self._service(first)
        allowed: frozenset[bytes] = frozenset()
        for route, exact, under in rules:
            if under is not None:
                if under.fullmatch(path) is None:
                    continue
            elif path not in (exact, exact + b"/"):
                continue
            if not route.methods or method in route.methods:
                return Found(NOT_THERE if route.access is Access.CLOSED else route, path)
            allowed |= route.methods
        return Found(NoRoute(allowed), path)

    def _service(self, first: bytes) -> tuple[_Rule, ...]:
        if len(first) > 64 or SERVICE(first) is None:
            return ()
        rules = tuple(_rule(route, first) for route in self._services)
        if len(self._by_first) < KNOWN_SERVICES:
            self._by_first[first] = rules
        return rules


def _first(path: bytes) -> bytes:
    return path[1:].partition(b"/")[0]


def _rule(route: Route, first: bytes) -> _Rule:
    """The route for one first segment, ready to match."""
    segments = [first, *route.pattern.encode().split(b"/")[2:]]
    if not any(b"*" in segment for segment in segments):
        return _Rule(route, b"/" + b"/".join(segments), None)
    text = b""
    for segment in segments:
        if segment == b"**":
            text += b"(?:/.*)?"
        elif segment == b"*":
            text += b"/[^/]+"
        else:
            text += b"/" + re.escape(segment)
    return _Rule(route, b"", re.compile(text + b"/?", re.DOTALL))
