"""Problems (RFC 9457) as the domain errors that made them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import orjson

from coffee_core.domain.errors import (
    CoffeeError,
    ConflictError,
    DeadlineError,
    FieldError,
    ForbiddenError,
    GoneError,
    InputError,
    LimitError,
    MediaTypeError,
    MethodError,
    NotAcceptableError,
    NotFoundError,
    PlanError,
    RetryableError,
    RuleError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
    UsageLimitError,
    VersionMismatchError,
    VersionRequiredError,
)

BY_STATUS: Mapping[int, type[CoffeeError]] = {
    400: InputError,
    401: UnauthenticatedError,
    402: PlanError,
    403: ForbiddenError,
    404: NotFoundError,
    405: MethodError,
    406: NotAcceptableError,
    409: ConflictError,
    410: GoneError,
    412: VersionMismatchError,
    413: TooLargeError,
    415: MediaTypeError,
    422: RuleError,
    428: VersionRequiredError,
    429: LimitError,
    502: UnavailableError,
    503: UnavailableError,
    504: DeadlineError,
}


class ServerError(CoffeeError):
    """The service answered with an error that is its own fault."""


def retry_after(answer: httpx2.Response) -> float:
    """Seconds until another try makes sense (RFC 9110 section 10.2.3: a number of them, or a date); 0 if nothing is
    said."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if at.tzinfo is None:
        return 0.0
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def error_of(answer: httpx2.Response) -> CoffeeError:
    """The error for an answer that is no success; its text names the request id, to be quoted when asking."""
    document = _document(answer)
    request_id = document.get("requestId") or answer.headers.get("x-bb-requestid")
    detail = str(document.get("detail") or document.get("title") or f"status {answer.status_code}")
    if request_id:
        detail = f"{detail} (request {request_id})"
    kind = BY_STATUS.get(answer.status_code, ServerError if answer.status_code >= 500 else InputError)
    reset = _reset(answer)
    if kind is LimitError and reset is not None:
        left = answer.headers.get("usage-remaining", "")
        remaining = int(left) if left.isascii() and left.isdigit() else 0
        return UsageLimitError(detail, remaining=remaining, reset=reset, retry_after=retry_after(answer))
    if issubclass(kind, RetryableError):
        return kind(detail, retry_after=retry_after(answer))
    if kind is MethodError:
        allowed = [method.strip() for method in answer.headers.get("allow", "").split(",")]
        return MethodError(detail, allowed=[method for method in allowed if method])
    given = document.get("errors")
    errors = [FieldError(str(e.get("pointer")), str(e.get("detail"))) for e in given] if isinstance(given, list) else []
    return kind(detail, errors=errors)


def _reset(answer: httpx2.Response) -> datetime | None:
    """When a count begins anew; None where that is not what was refused."""
    try:
        found = datetime.fromisoformat(answer.headers.get("usage-reset", ""))
    except ValueError:
        return None
    return None if found.tzinfo is None else found


def _document(answer: httpx2.Response) -> dict[str, Any]:  # Any: parsed JSON
    try:
        found = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
