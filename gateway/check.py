"""What is wrong with a configuration, before it serves anybody: each finding says what to change."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from coffee_core.domain.errors import CoffeeError
from coffee_core.domain.plan import Plan
from gateway.data_plane.settings import AccessLogSettings, CanarySettings, DataPlaneSettings, MirrorSettings
from gateway.data_plane.targets import read_target
from gateway.data_plane.tls import TlsSettings, open_tls
from gateway.route_file import read_routes
from gateway.settings import GatewaySettings
from gateway.verdict.routes import GATEWAY_ROUTES, SERVICE_ROUTES, Access, Route


def problems(settings: GatewaySettings, upstream: DataPlaneSettings, log: AccessLogSettings) -> list[str]:
    """What keeps this gateway from starting, or from doing what it is told: all of it."""
    found = settings.problems()
    found += _beside("COFFEE_GATEWAY_UPSTREAM_CANARIES", upstream.canaries, settings)
    found += _beside("COFFEE_GATEWAY_UPSTREAM_MIRRORS", upstream.mirrors, settings)
    found += _named(upstream, settings)
    found += _routes(settings)
    found += _tls()
    if settings.port and settings.port == settings.metrics_port:
        found.append(f"COFFEE_GATEWAY_PORT: {settings.port} is also COFFEE_METRICS_PORT: move one of them")
    if log.enabled and log.path is not None:
        found += _unwritable("COFFEE_GATEWAY_ACCESS_LOG_PATH", log.path)
    if settings.audit_path is not None:
        found += _unwritable("COFFEE_GATEWAY_AUDIT_PATH", settings.audit_path)
    return found


def notes(settings: GatewaySettings) -> list[str]:
    """What works, and may not be what is meant."""
    said: list[str] = []
    if settings.redis_url is None:
        said.append(
            "COFFEE_REDIS_URL is not set: sessions and plans are believed for COFFEE_GATEWAY_DOUBT_SECONDS "
            f"({settings.doubt_seconds:g} s) alone, and each process asks identity for itself"
        )
    if settings.host not in ("127.0.0.1", "::1", "localhost") and not settings.trusted_proxies:
        said.append(
            "COFFEE_GATEWAY_TRUSTED_PROXIES is empty: behind a load balancer every caller has the balancer's address, "
            "and shares its rate limit"
        )
    if settings.identity_url is not None and "," in settings.identity_url:
        said.append("COFFEE_IDENTITY_URL: sessions and plans are asked for at its first target alone")
    longest = max(settings.doubt_seconds, settings.link_doubt_seconds) + settings.forward_auth_keep_seconds
    said.append(f"a revocation whose push is lost takes at most {longest:g} s, forward auth's keeping included")
    return said


def _beside(
    variable: str, named: Mapping[str, CanarySettings] | Mapping[str, MirrorSettings], settings: GatewaySettings
) -> Iterator[str]:
    groups = settings.upstreams()
    for name, one in named.items():
        if name not in groups:
            yield f"{variable}: `{name}` is no upstream: say one of {', '.join(sorted(groups))}"
        for url in one.targets:
            try:
                read_target(url)
            except ValueError as error:
                yield f"{variable}: {name}: {error}"


def _named(upstream: DataPlaneSettings, settings: GatewaySettings) -> Iterator[str]:
    """Upstreams and routes that are bounded or cached, and are not there."""
    groups = settings.upstreams()
    for name in sorted(upstream.concurrency.keys() - groups.keys()):
        variable = "COFFEE_GATEWAY_UPSTREAM_CONCURRENCY"
        yield f"{variable}: `{name}` is no upstream: say one of {', '.join(sorted(groups))}"
    try:
        table = read_routes(settings.routes_file).routes.routes
    except CoffeeError:
        return
    names = {route.name for route in table if route.upstream}
    for name in sorted(upstream.cache_routes.keys() - names):
        variable = "COFFEE_GATEWAY_UPSTREAM_CACHE_ROUTES"
        yield f"{variable}: `{name}` is no route to an upstream: say one of {', '.join(sorted(names))}"


def _tls() -> Iterator[str]:
    try:
        open_tls(TlsSettings())
    except CoffeeError as error:
        yield error.detail


def _routes(settings: GatewaySettings) -> Iterator[str]:
    """Routes of the file that are written in vain. A file that cannot be read is reported with the settings."""
    try:
        table = read_routes(settings.routes_file).routes.routes
    except CoffeeError:
        return
    own = [route for route in table if route not in GATEWAY_ROUTES and route not in SERVICE_ROUTES]
    for route in own:
        where = f"COFFEE_GATEWAY_ROUTES_FILE: route `{route.name}`"
        if route.plan > Plan.FREE and route.access in (Access.PUBLIC, Access.OPTIONAL):
            yield f'{where}: `plan` says nothing where `access` is {route.access.value}: say `"access": "session"`'
        before = next((other for other in table[: table.index(route)] if _covers(other, route)), None)
        if before is not None:
            yield f"{where} is never taken, because `{before.name}` ({before.pattern}) comes before it: move it up"


def _covers(first: Route, second: Route) -> bool:
    """Whether all that the second one takes is taken by the first."""
    if first.methods and not (second.methods and second.methods <= first.methods):
        return False
    start = first.pattern.removesuffix("**")
    return first.pattern == second.pattern or (start != first.pattern and (second.pattern + "/").startswith(start))


def _unwritable(variable: str, path: Path) -> Iterator[str]:
    target = path if path.exists() else path.parent
    if not target.exists():
        yield f"{variable}: the folder {path.parent} is not there: make it, or name another one"
    elif not os.access(target, os.W_OK):
        yield f"{variable}: {target} is not writable for this user"
