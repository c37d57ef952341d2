"""What each layer costs: the pipeline's CPU, whole and without each one. `python -m tests.benchmarks.pipeline`."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Mapping

import uvloop

from coffee_core.http.application import Application
from coffee_core.http.pipeline import layers, pipeline
from coffee_core.http.settings import HttpSettings
from coffee_core.observability.error_tracker import LoggingTracker
from coffee_core.observability.lines import LineWriter
from coffee_core.observability.metrics import Metrics
from coffee_core.rest.route import Route
from coffee_core.wire.identity import Caller, sign
from coffee_core.wire.message import BufferedBody, Handler, Request, Response

KEY = "a key for measuring, long enough: 32 bytes"
NAMES = (
    "client_address", "request_id", "metrics", "access_log", "slow_log", "recoverer", "request_capture",
    "error_tracking", "context", "unit_of_work",
)  # fmt: skip
NEEDED = ("request_id", "context")
"""Without these the others cannot run."""

REQUESTS = 10_000
TAKES = 12


async def endpoint(_: Request) -> Response:
    return Response(200, b'{"data":[]}')


def a_caller() -> Mapping[bytes, bytes]:
    statement = sign(Caller("7", "8", "9", "SAAS"), audience="saas", key=KEY.encode(), now=time.time(), lifetime=600)
    return {
        b"host": b"modules",
        b"x-bb-partner-id": b"7",
        b"x-bb-account-id": b"8",
        b"x-bb-uid": b"9",
        b"x-bb-plan-type": b"SAAS",
        b"x-bb-identity": statement.encode(),
        b"x-bb-requestid": b"019a1b2c-3d4e-7f50-8123-456789abcdef",
        b"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }


async def cost(handler: Handler, headers: Mapping[bytes, bytes]) -> float:
    """CPU microseconds a request; other threads' work (log lines) counts."""
    begun = time.process_time()
    for number in range(REQUESTS):
        await handler(Request("GET", "/cup-service/api/cup/12345", b"", headers, BufferedBody(), client="10.0.0.9"))
        if number % 500 == 0:
            await asyncio.sleep(0)
    return (time.process_time() - begun) / REQUESTS * 1e6


async def main() -> None:
    settings = HttpSettings(access_log="off", identity_signing_key=KEY)  # type: ignore[arg-type]  # a secret's text
    routes = [
        Route(method="GET", path="/api/cup/{id}", handler=endpoint, name="cup_get", summary=""),
        Route(method="POST", path="/api/cup/search", handler=endpoint, name="cup_search", summary=""),
    ]
    app = Application({"cup-service": routes}, settings=settings)
    lines = LineWriter(os.open(os.devnull, os.O_WRONLY))
    made = layers(settings, registry=Metrics(), lines=lines, tracker=LoggingTracker(), units=app.units)
    gc.collect()
    gc.freeze()
    headers = a_caller()
    handlers: dict[str, Handler] = {"": endpoint, "whole": pipeline(made, app.router)}
    for name, left_out in zip(NAMES, made, strict=True):
        if name not in NEEDED:
            handlers[name] = pipeline([layer for layer in made if layer is not left_out], app.router)
    best = dict.fromkeys(handlers, float("inf"))
    for _ in range(TAKES):  # interleaved: whatever else the machine does meets all of them
        for name, handler in handlers.items():
            best[name] = min(best[name], await cost(handler, headers))
    print(f"whole pipeline with routing: {best['whole'] - best['']:.2f} us")
    for name in list(handlers)[2:]:
        print(f"  {name:16} {best['whole'] - best[name]:5.2f} us")
    lines.close()


if __name__ == "__main__":
    uvloop.run(main())
