"""What every door has to be told, taken from the gateway's own settings and route table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.data_plane.forward_auth import PREFIX, SET
from gateway.data_plane.targets import Target, read_target
from gateway.route_file import read_routes
from gateway.settings import GatewaySettings
from gateway.verdict.names import DROPPED
from gateway.verdict.routes import ANY_SERVICE, Access, Route

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is listened on, seen from beside it
FRAMING = frozenset(("te", "trailer", "transfer-encoding", "content-length", "expect", "keep-alive"))
"""Every proxy does these by itself, and telling it to leave them out would break bodies."""
NOT_OUTSIDE = frozenset(("verdict", "metrics"))
"""Own routes that are for the proxy and for scrapers."""
SET_BY_VERDICT = (*(name.decode() for name in SET), "x-bb-requestid")
ADDED = (
    "x-bb-requestid", "ratelimit", "ratelimit-policy", "access-control-allow-origin",
    "access-control-allow-credentials", "access-control-expose-headers",
)  # fmt: skip
"""Headers of a verdict that belong to the caller's answer."""
HIDDEN = (
    "x-bb-requestid", "x-bb-identity", "x-bb-partner-id", "x-bb-account-id", "x-bb-uid", "x-bb-plan-type",
    "access-control-allow-origin", "access-control-allow-credentials", "access-control-allow-methods",
    "access-control-allow-headers", "access-control-expose-headers", "access-control-max-age",
)  # fmt: skip
"""Headers of an upstream's answer that only the gateway may say."""


@dataclass(frozen=True)
class Doors:
    """One installation, as a proxy sees it."""

    listen: str
    """`host:port` of the proxy."""
    gateway: str
    """`host:port` of the gateway, seen from the proxy."""
    socket: str
    """Its socket file, which a proxy that can prefers; empty where there is none, or where `gateway` was given."""
    upstreams: Mapping[str, Sequence[Target]]
    routes: Sequence[Route]
    """Those of upstreams, in order."""
    own: Sequence[str]
    """Paths that the gateway answers itself; a pattern ends in `/**`, `/*` or with the path."""
    aliases: Mapping[str, str]
    processes: int
    """Of the gateway."""
    session_cookie: str
    cors_origins: Sequence[str]

    @property
    def verdict(self) -> str:
        """The path of the verdict."""
        return PREFIX

    def own_paths(self) -> list[str]:
        """The first parts of the own paths, without wildcards."""
        return sorted({re.sub(r"/\*+$", "", pattern) for pattern in self.own})


def doors(settings: GatewaySettings, *, listen: str, gateway: str | None = None) -> Doors:
    """From checked settings. `gateway` is where the proxy finds it, if not where it listens."""
    table = read_routes(settings.routes_file).routes
    host = EVERYWHERE.get(settings.host, settings.host)
    return Doors(
        listen=listen,
        socket="" if gateway or settings.forward_auth_socket is None else str(settings.forward_auth_socket.absolute()),
        gateway=gateway or (f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"),
        upstreams={name: [read_target(url) for url in urls] for name, urls in settings.upstreams().items()},
        routes=[route for route in table.routes if route.upstream and route.access is not Access.CLOSED],
        own=[route.pattern for route in table.routes if not route.upstream and route.name not in NOT_OUTSIDE],
        aliases={name.decode(): real.decode() for name, real in table.aliases.items()},
        processes=settings.workers,
        session_cookie=settings.session_cookie,
        cors_origins=settings.cors_origins,
    )


def dropped() -> list[str]:
    """Request headers that never reach an upstream, whoever moves the bytes."""
    return sorted({name.decode() for name in DROPPED} - FRAMING)


def upstream_rules(doors: Doors) -> Iterator[tuple[str, str]]:
    """For doors that choose the upstream by themselves: a regular expression of the path (RE2), and the upstream.
    What no rule matches goes to `saas`.
    """
    for number, route in enumerate(doors.routes):
        first = route.pattern.split("/")[1]
        later = {other.pattern.split("/")[1] for other in doors.routes[number:] if other.upstream != "saas"}
        if route.upstream != "saas" or first in later:
            yield path_expression(route.pattern), route.upstream


def path_expression(pattern: str) -> str:
    """A route's pattern as a regular expression (RE2) that matches the whole path."""
    text = ""
    for number, segment in enumerate(pattern.split("/")[1:]):
        if segment == "**":
            text += "(/.*)?"
        elif segment == "*":
            text += "/[^/]+"
        elif segment == ANY_SERVICE and number == 0:
            text += "/[a-z0-9]+(-[a-z0-9]+)*-service"
        else:
            text += "/" + re.escape(segment).replace("\\-", "-")
    return f"^{text}/?$"
