"""The application: the routes of some services behind the pipeline, with a beginning and an end."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import Final, TypeAlias

import orjson

from coffee_core.http.asgi import AsgiApp
from coffee_core.http.health import Health
from coffee_core.http.layers.recoverer import recoverer
from coffee_core.http.layers.request_id import request_id
from coffee_core.http.layers.unit_of_work import UnitsOfWork
from coffee_core.http.openapi.document import document
from coffee_core.http.pipeline import layers, pipeline
from coffee_core.http.router import Router
from coffee_core.http.settings import HttpSettings
from coffee_core.observability.error_tracker import ErrorTracker, make_error_tracker
from coffee_core.observability.lines import LineWriter
from coffee_core.observability.metrics import CONTENT_TYPE, Metrics
from coffee_core.observability.settings import ObservabilitySettings
from coffee_core.observability.tracing import Tracer, make_tracer
from coffee_core.rest.container import Check
from coffee_core.rest.route import Route
from coffee_core.wire.message import Handler, Request, Response

log: Final = logging.getLogger("coffee.http")

Hook: TypeAlias = Callable[[], Awaitable[None]]


class Application:
    """`handler` answers requests between `start()` and `stop()`, whichever server asks it.

    `services` maps a service's name (the first path segment) to its routes. `on_start` runs in order; `on_stop` runs in
    reverse order, each even if another failed. `startup` and `ready` are the checks of the health probes.
    """

    def __init__(
        self,
        services: Mapping[str, Sequence[Route]],
        *,
        settings: HttpSettings | None = None,
        observability: ObservabilitySettings | None = None,
        metrics: Metrics | None = None,
        error_tracker: ErrorTracker | None = None,
        tracer: Tracer | None = None,
        on_start: Sequence[Hook] = (),
        on_stop: Sequence[Hook] = (),
        startup: Sequence[Check] = (),
        ready: Sequence[Check] = (),
    ) -> None:
        self.settings = settings or HttpSettings()
        watching = observability or ObservabilitySettings()
        if metrics is None:
            metrics = Metrics(series_max=watching.metrics_series_max, process=True)
        self.metrics = metrics
        self.health = Health(
            startup=startup,
            ready=ready,
            check_seconds=self.settings.health_seconds,
            startup_seconds=self.settings.startup_seconds,
        )
        own = self._own_routes()
        self.router = Router({**services, "": own})
        self.operations: Handler = pipeline([request_id, recoverer], Router({"": own}))
        """Probes, metrics and description alone, for a port that only machines reach."""
        self.units = UnitsOfWork(commit_seconds=self.settings.commit_seconds)
        self._lines = LineWriter(_descriptor(self.settings), lines_max=watching.log_lines_max)
        self._hooks = (tuple(on_start), tuple(on_stop))
        self._timer: asyncio.TimerHandle | None = None
        self._described = b""
        self._stopped = False
        self.handler: Handler = pipeline(
            layers(
                self.settings,
                registry=self.metrics,
                lines=self._lines,
                tracker=make_error_tracker(watching) if error_tracker is None else error_tracker,
                units=self.units,
                tracer=make_tracer(watching) if tracer is None else tracer,
            ),
            self.router,
        )
        self.metrics.gauge("http_requests_in_flight", "Requests being worked on.", lambda: len(self.units.flights))
        self.metrics.gauge("log_lines_dropped", "Access-log lines lost.", lambda: self._lines.dropped)

    async def start(self) -> None:
        """Open what the services need. If that fails, what was opened is closed again."""
        try:
            for hook in self._hooks[0]:
                await hook()
        except BaseException:
            await self.stop()
            raise
        gc.collect()
        gc.freeze()  # what lives as long as the process need not be looked at again, whichever server serves
        self._tick()

    async def drain(self) -> None:
        """Say that no more requests are wanted, and give whoever sends them time to notice."""
        self.health.draining = True
        await asyncio.sleep(self.settings.drain_delay_seconds)

    async def stop(self) -> None:
        """Finish what was begun and close what is open, once. The server has stopped sending requests before."""
        self.health.draining = True
        if self._stopped:
            return
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        await self.units.settle()
        for hook in reversed(self._hooks[1]):
            try:
                await hook()
            except Exception:  # one that cannot be closed must not keep the others open
                log.exception("a part could not be closed")
        self._lines.close()

    def asgi(self) -> AsgiApp:
        """The application for an ASGI server or a test client; its lifespan starts and stops it."""
        return AsgiApp(self.handler, start=self.start, stop=self.stop, watch_seconds=self.settings.sweep_seconds)

    def _tick(self) -> None:
        """A few times a second: deadlines, and log lines."""
        self._timer = asyncio.get_running_loop().call_later(self.settings.sweep_seconds, self._tick)
        self.units.sweep(monotonic())
        self._lines.flush()

    def _own_routes(self) -> list[Route]:
        openapi = Route(
            method="GET",
            path="/openapi.json",
            handler=self._openapi,
            name="openapi",
            summary="The API description, OpenAPI 3.1",
            public=True,
        )
        return [
            *self.health.routes(),
            Route(
                method="GET",
                path="/metrics",
                handler=self._metrics,
                name="metrics",
                summary="Metrics, in the Prometheus text format",
                public=True,
                answer_media="text/plain",
            ),
            *([openapi] if self.settings.docs else []),
        ]

    async def _openapi(self, _: Request) -> Response:
        if not self._described:
            self._described = orjson.dumps(document(self.router.mounts))
        return Response(200, self._described, headers=[(b"cache-control", b"max-age=60")])

    async def _metrics(self, _: Request) -> Response:
        return Response(200, self.metrics.text(), content_type=CONTENT_TYPE)


def _descriptor(settings: HttpSettings) -> int | None:
    if settings.access_log == "off":
        return None
    return (sys.stdout if settings.access_log == "stdout" else sys.stderr).fileno()
