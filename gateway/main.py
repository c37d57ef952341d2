"""The gateway's processes: verdict, data plane and edge in one process, or in several on one port."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import typer
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from coffee_core.domain.errors import CoffeeError
from coffee_core.observability.logs import configure_logging
from coffee_core.observability.settings import ObservabilitySettings
from coffee_core.wire.listen import bind
from coffee_core.wire.message import Request, Response
from coffee_core.wire.serve import run, serve_front
from coffee_core.wire.server import HandlerFront
from gateway.build import BuiltVerdict
from gateway.configuration import Configuration, ConfigurationSource, left_as_they_are
from gateway.data_plane.access_log import AccessLog
from gateway.data_plane.forward_auth import ForwardAuth
from gateway.data_plane.front import GatewayFront
from gateway.data_plane.gauges import Gauges
from gateway.data_plane.metrics import Metrics as RouteMetrics
from gateway.data_plane.spans import make_spans
from gateway.data_plane.targets import Target, base_url, read_target
from gateway.data_plane.tls import open_tls
from gateway.data_plane.worker_metrics import WorkerMetrics
from gateway.edge.app import Edge
from gateway.edge.docs import Docs
from gateway.edge.health import Health, Heartbeat
from gateway.edge.metrics import Metrics
from gateway.edge.openapi import MergedOpenApi
from gateway.operator.app import make_app
from gateway.operator.asgi import handler_of
from gateway.operator.audit import AuditLog
from gateway.operator.figures import Figures
from gateway.operator.present import present
from gateway.operator.rotation import Rotation
from gateway.operator.services import Services
from gateway.route_file import read_routes
from gateway.scheduling import schedule
from gateway.settings import GatewaySettings
from gateway.verdict.forwarding import TrustedProxies

log: Final = logging.getLogger("gateway")

COLLECT: Final = (20_000, 20, 100)
"""Python's own 700, 10, 10 would look through all cached sessions again and again while they are being filled, at the
price of a pause of tens of milliseconds each time; what is cached has no cycles."""


def run_gateway(source: ConfigurationSource) -> None:
    """Until SIGTERM or SIGINT."""
    at_first = current = source.read()
    settings = at_first.gateway
    configure_logging(ObservabilitySettings())
    heartbeat = Heartbeat()  # shared by all workers, so it is made before there are any
    metrics_socket = _metrics_socket(settings)
    questions = _questions_socket(settings, at_first.wire.backlog)
    typer.echo(f"gateway on {'https' if at_first.tls.certificate else 'http'}://{settings.host}:{settings.port}")

    def reload() -> None:
        nonlocal current
        current = source.read()
        kept = left_as_they_are(settings, current.gateway)
        if kept:
            log.warning("not reloaded, but at the next start: %s", ", ".join(kept))

    with TemporaryDirectory(prefix="coffee-metrics-") as folder:
        shared = Path(folder) if settings.workers > 1 else None

        async def main(sockets: Sequence[socket.socket]) -> None:
            schedule(current.gateway.scheduling)
            own = Gateway(current, heartbeat, metrics_socket, Path(folder), shared)
            await own.serve(sockets if questions is None else [*sockets, questions])

        run(
            main,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            settings=at_first.wire,
            reload=reload,
        )


def _metrics_socket(settings: GatewaySettings) -> socket.socket:
    """One, which all workers accept from, the old and the new ones of a reload as well."""
    try:
        (sock,) = bind(settings.metrics_host, settings.metrics_port)
    except OSError as error:
        raise CoffeeError(f"metrics: {error.strerror}; set COFFEE_METRICS_PORT to a free one") from None
    sock.listen()
    return sock


def _questions_socket(settings: GatewaySettings, backlog: int) -> socket.socket | None:
    """For forward auth, accepted from by all workers, like the metrics' one."""
    path = settings.forward_auth_socket
    if path is None:
        return None
    try:
        (sock,) = bind(unix_path=str(path))
    except OSError as error:
        raise CoffeeError(
            f"{error.strerror}; set COFFEE_GATEWAY_FORWARD_AUTH_SOCKET to a file that can be made"
        ) from None
    path.chmod(0o666)  # who may get at it is the folder's to say: a proxy's workers are often somebody else
    sock.listen(backlog)
    return sock


class Gateway:
    """One process of it."""

    def __init__(
        self,
        told: Configuration,
        heartbeat: Heartbeat,
        metrics_socket: socket.socket,
        folder: Path,
        shared: Path | None = None,
    ) -> None:
        """`folder` holds what outlives a worker; `shared` is where several keep their metrics for each other."""
        settings = told.gateway
        self._bounds = told.wire
        self._metrics_socket = metrics_socket
        self._built = BuiltVerdict(settings)
        self._health = Health(heartbeat, self._conditions)
        registry = CollectorRegistry()
        routes = RouteMetrics()
        registry.register(routes)
        for collector in self._built.collectors():
            registry.register(collector)
        self._workers = None if shared is None else WorkerMetrics(shared, registry)
        answered = registry
        if self._workers is not None:
            answered = CollectorRegistry(auto_describe=False)
            answered.register(self._workers)
        self._metrics = Metrics(answered)
        upstreams = settings.upstreams()
        audit = AuditLog(settings.audit_path or folder / "audit.jsonl")
        rotation = Rotation(heartbeat, audit)
        askers = TrustedProxies(settings.forward_auth_from)
        forward_auth = ForwardAuth(self._built.core, askers, settings.forward_auth_keep_seconds)
        edge = Edge(
            health=self._health,
            heartbeat=heartbeat,
            rotate=rotation.put,
            metrics=self._metrics,
            openapi=MergedOpenApi(
                [base_url(urls[0]) for urls in upstreams.values()],
                self._built.client,
                read_routes(settings.routes_file).routes,
            ),
            docs=Docs(),
            operators=handler_of(self._operators(settings, rotation, audit, folder, routes)),
        )
        self._front = GatewayFront(
            self._built.core,
            edge,
            {name: [_target(name, url) for url in urls] for name, urls in upstreams.items()},
            settings=told.wire,
            upstream=told.upstream,
            log=AccessLog(told.access_log),
            metrics=routes,
            tls=open_tls(told.tls),
            proxied=TrustedProxies(settings.proxy_protocol_from),
            spans=make_spans(ObservabilitySettings()),
            forward_auth=forward_auth.answer,
            streams_from=askers,
        )
        registry.register(Gauges(self._front))

    async def serve(self, sockets: Sequence[socket.socket]) -> None:
        """Until SIGTERM or SIGINT, then drain."""
        configure_logging(ObservabilitySettings())
        scraped = HandlerFront(self._scrape, self._bounds)
        await self._built.start()
        publishing = [asyncio.create_task(self._figures.publish())]
        if self._workers is not None:
            publishing.append(asyncio.create_task(self._workers.publish()))
        try:
            await scraped.start([self._metrics_socket])
            await serve_front(self._front, sockets, on_ready=self._ready, on_drain=self._draining)
        finally:
            await scraped.drain()
            for task in publishing:
                task.cancel()
            if self._workers is not None:
                self._workers.close()
            await self._built.stop()

    def _operators(
        self, settings: GatewaySettings, rotation: Rotation, audit: AuditLog, folder: Path, routes: RouteMetrics
    ) -> Starlette:
        self._since = time.time()
        built = self._built
        caches = {"session": built.sessions.stats, "plan": built.plans.stats}
        self._figures = Figures(folder, routes, caches, lambda: present(self._front, built.link, self._since))
        upstreams = settings.upstreams()
        services = Services(built.client, base_url(upstreams["identity"][0]), base_url(upstreams["saas"][0]))
        return make_app(self._figures, audit, services, rotation)

    async def _ready(self) -> None:
        self._health.started = True
        gc.collect()
        gc.freeze()  # what lives as long as the process need not be looked at again
        gc.set_threshold(*COLLECT)

    async def _draining(self) -> None:
        self._health.draining = True
        await asyncio.sleep(0)

    def _conditions(self) -> Mapping[str, bool]:
        link = self._built.link
        return {"push": link is not None and not link.in_doubt}

    async def _scrape(self, request: Request) -> Response:
        if request.path.rstrip("/") != "/metrics" or request.method not in ("GET", "HEAD"):
            return Response(404, b'{"status":404,"title":"Not Found","detail":"there is /metrics here"}')
        return await self._metrics.get(request)


def _target(name: str, url: str) -> Target:
    try:
        return read_target(url)
    except ValueError as error:
        raise CoffeeError(f"upstream {name}: {error}") from None
