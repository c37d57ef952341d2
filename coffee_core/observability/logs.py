"""Structured logs: one JSON object a line, with the request it belongs to, and without secrets."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final, TextIO

import orjson

from coffee_core.domain.context import CURRENT
from coffee_core.observability.redaction import is_hidden, redact, redact_text
from coffee_core.observability.settings import ObservabilitySettings

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; the rest came with `extra=`."""
TALKATIVE: Final = ("httpx", "httpx2")
"""Loggers of libraries that write each request of theirs with its query: session ids and addresses of people."""


class RequestFilter(logging.Filter):
    """Adds `request_id` and `partner_id` of the request or message in hand."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Never refuses a record."""
        context = CURRENT.get(None)
        if context is not None:
            record.request_id = context.request_id
            record.partner_id = context.partner_id
        return True


def extras(record: logging.LogRecord) -> dict[str, Any]:  # Any: whatever `extra=` was given
    """What came with `extra=` and from the filter, by its name on the wire, secrets masked."""
    return {
        _camel(name): "***" if is_hidden(name) else redact(value)
        for name, value in vars(record).items()
        if name not in _STANDARD
    }


class JsonFormatter(logging.Formatter):
    """`{"ts", "level", "log", "message", ..., "error"}`; `ts` is epoch seconds."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {
            "ts": round(record.created, 3),
            "level": record.levelname,
            "log": record.name,
            "message": redact_text(record.getMessage()),
            **extras(record),
        }
        if record.exc_info:
            line["error"] = redact_text(self.formatException(record.exc_info))
        if record.stack_info:
            line["stack"] = redact_text(record.stack_info)
        return orjson.dumps(line, default=_shown, option=orjson.OPT_NON_STR_KEYS).decode()


class TextFormatter(logging.Formatter):
    """For a person at a terminal: time, level, logger, message, extras."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback if there is one."""
        more = "".join(f" {name}={value}" for name, value in extras(record).items() if value is not None)
        head, newline, trace = super().format(record).partition("\n")
        return redact_text(f"{head}{more}{newline}{trace}")


def configure_logging(settings: ObservabilitySettings, stream: TextIO | None = None) -> None:
    """Send all of Python's logging to `stream` (stderr) in this form. Call once, in a process of ours."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    handler.addFilter(RequestFilter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _shown(value: object) -> str:
    return redact_text(repr(value))
