"""Where faults of ours are reported: the log, or Sentry."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from coffee_core.domain.context import CURRENT
from coffee_core.observability.settings import ObservabilitySettings

log: Final = logging.getLogger("coffee.errors")


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """A fault and what led to it. `request` holds no secrets and no personal data when it comes from the pipeline."""

    error: BaseException
    request: Mapping[str, object]


class ErrorTracker(Protocol):
    """Reports faults. Called on the event loop: it must neither block nor raise."""

    def report(self, report: ErrorReport) -> None:
        """Take note of `report`."""


class LoggingTracker:
    """Writes the fault with its traceback to the log."""

    def report(self, report: ErrorReport) -> None:
        """One line at level ERROR."""
        log.error("a fault of ours", exc_info=report.error, extra={"request": dict(report.request)})


class SentryTracker:
    """Sends faults to Sentry, from a thread of its SDK. Nothing is collected that is not in the report."""

    def __init__(self, dsn: str, environment: str) -> None:
        import sentry_sdk

        self._sdk = sentry_sdk
        sentry_sdk.init(
            dsn=dsn,
            environment=environment,
            default_integrations=False,  # they would add request bodies and local variables, unredacted
            include_local_variables=False,
        )

    def report(self, report: ErrorReport) -> None:
        """Queue it."""
        context = CURRENT.get(None)
        with self._sdk.new_scope() as scope:
            scope.set_context("request", dict(report.request))
            if context is not None:
                scope.set_tag("request_id", context.request_id)
                scope.set_tag("partner_id", str(context.partner_id))
            scope.capture_exception(report.error)


def make_error_tracker(settings: ObservabilitySettings) -> ErrorTracker:
    """Sentry if it is configured, else the log. Configured and not installed is an error at the start."""
    if settings.sentry_dsn is None:
        return LoggingTracker()
    try:
        return SentryTracker(settings.sentry_dsn.get_secret_value(), settings.environment)
    except ImportError:
        raise RuntimeError(
            "COFFEE_SENTRY_DSN is set, and sentry-sdk is not installed: install coffee-core[sentry]"
        ) from None
