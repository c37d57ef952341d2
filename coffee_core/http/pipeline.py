"""The ten layers around every request, in their order."""

from __future__ import annotations

from collections.abc import Sequence

from coffee_core.http.identity import CallerReader
from coffee_core.http.layers.access_log import access_log
from coffee_core.http.layers.client_address import client_address
from coffee_core.http.layers.context import context
from coffee_core.http.layers.error_tracking import error_tracking
from coffee_core.http.layers.metrics import metrics
from coffee_core.http.layers.observed import observed
from coffee_core.http.layers.recoverer import recoverer
from coffee_core.http.layers.request_capture import request_capture
from coffee_core.http.layers.request_id import request_id
from coffee_core.http.layers.slow_log import slow_log
from coffee_core.http.layers.tracing import tracing
from coffee_core.http.layers.unit_of_work import UnitsOfWork
from coffee_core.http.settings import HttpSettings
from coffee_core.observability.error_tracker import ErrorTracker
from coffee_core.observability.lines import LineWriter
from coffee_core.observability.metrics import Metrics
from coffee_core.observability.tracing import Tracer
from coffee_core.wire.message import Handler, Layer


def layers(
    settings: HttpSettings,
    *,
    registry: Metrics,
    lines: LineWriter,
    tracker: ErrorTracker,
    units: UnitsOfWork,
    tracer: Tracer | None = None,
) -> Sequence[Layer]:
    """Outermost first. Each stands where it does for a reason: what it needs is made further out, what it must see
    happens further in."""
    return (
        client_address(settings.trusted_proxies),  # first: all that follows may name the caller's address
        request_id,  # then the id and an anonymous context, so that whatever happens next can be told apart
        observed(  # three in one frame: every outcome, the problems made further in as well
            slow_log(settings.slow_seconds),
            metrics(registry),
            access_log(lines),
        ),
        recoverer,  # from here outwards nothing is raised but a cancellation: there is always an answer
        request_capture(settings.capture_bytes),  # before anything reads the body that a report may need
        error_tracking(tracker, settings.capture_bytes),  # inside the recoverer: sees the exception, not its problem
        context(callers(settings), settings.deadline_seconds),  # may refuse; nothing below runs for a forged caller
        *(() if tracer is None else (tracing(tracer),)),  # optional, and not one of the ten
        units.layer,  # innermost: commits before any layer sees a success, rolls back on all else
    )


def callers(settings: HttpSettings) -> CallerReader:
    """How identities are checked in this process."""
    keys = (settings.identity_signing_key, settings.identity_signing_key_previous)
    return CallerReader(
        keys=[key.get_secret_value().encode() for key in keys if key is not None],
        audience=settings.audience,
        remembered=settings.callers_remembered,
    )


def pipeline(layers: Sequence[Layer], core: Handler) -> Handler:
    """`core` inside the layers, the first of which is the outermost."""
    handler = core
    for layer in reversed(layers):
        handler = layer(handler)
    return handler
