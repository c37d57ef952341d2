"""Domain errors as problems (RFC 9457): the one table from what went wrong to a status code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import quote

import orjson

from coffee_core.domain.errors import (
    CoffeeError,
    ConflictError,
    DeadlineError,
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
from coffee_core.wire.errors import PROBLEM, WireError
from coffee_core.wire.message import Response

TYPE_PREFIX: Final = "urn:coffee:problem:"


class Kind(NamedTuple):
    """One row of the table. `slug` ends the `type` URI; slug, status and title of a kind never change."""

    status: int
    slug: str
    title: str

    @property
    def uri(self) -> str:
        """The problem's `type`: an identifier to compare, nothing to fetch."""
        return TYPE_PREFIX + self.slug


KINDS: Final[Mapping[type[CoffeeError], Kind]] = {
    InputError: Kind(400, "input", "The request cannot be read"),
    UnauthenticatedError: Kind(401, "unauthenticated", "No valid session"),
    PlanError: Kind(402, "plan", "The plan does not include this"),
    ForbiddenError: Kind(403, "forbidden", "Not allowed"),
    NotFoundError: Kind(404, "not-found", "Not found"),
    MethodError: Kind(405, "method", "No such operation"),
    NotAcceptableError: Kind(406, "not-acceptable", "No representation that is accepted"),
    ConflictError: Kind(409, "conflict", "Conflict with what is stored"),
    GoneError: Kind(410, "gone", "Gone"),
    VersionMismatchError: Kind(412, "version-mismatch", "The record has changed"),
    TooLargeError: Kind(413, "too-large", "Too large"),
    MediaTypeError: Kind(415, "media-type", "Media type not read here"),
    RuleError: Kind(422, "rule", "A rule of the business refuses this"),
    VersionRequiredError: Kind(428, "version-required", "A version must be named"),
    LimitError: Kind(429, "limit", "A limit is reached"),
    UsageLimitError: Kind(429, "usage-limit", "What was bought is used up"),
    UnavailableError: Kind(503, "unavailable", "Temporarily unavailable"),
    DeadlineError: Kind(504, "deadline", "Took too long"),
}

FAULT: Final = Kind(500, "fault", "The fault is ours")
"""What no row of the table lists. Its text stays inside: it may hold anything."""

FAULT_DETAIL: Final = "something went wrong here; quote the requestId when you report it"


def kind_of(error: BaseException) -> Kind:
    """The row of the nearest listed ancestor; `FAULT` if there is none."""
    for kind in type(error).__mro__:
        found = KINDS.get(kind)
        if found is not None:
            return found
    return FAULT


def status_of(error: BaseException) -> int:
    """The status code that `error` is answered with."""
    return error.status if isinstance(error, WireError) else kind_of(error).status


def problem_of(error: BaseException, *, path: str, request_id: str) -> Response:
    """The answer to a request at `path` that ended in `error`, with the headers that belong to its status."""
    if isinstance(error, WireError):  # about bytes, not about the business: the status says all there is
        return problem(
            Kind(error.status, "", HTTPStatus(error.status).phrase), error.detail, path=path, request_id=request_id
        )
    kind = kind_of(error)
    if not isinstance(error, CoffeeError):
        return problem(kind, FAULT_DETAIL, path=path, request_id=request_id)
    errors = [{"pointer": pointer, "detail": detail} for pointer, detail in error.errors]
    answer = problem(kind, error.detail, path=path, request_id=request_id, errors=errors)
    if isinstance(error, UsageLimitError):
        reset = error.reset.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
        answer.headers += [(b"usage-remaining", b"%d" % error.remaining), (b"usage-reset", reset)]
    if isinstance(error, RetryableError):
        answer.headers.append((b"retry-after", b"%d" % max(0, math.ceil(error.retry_after))))
    elif isinstance(error, MethodError):
        answer.headers.append((b"allow", ", ".join(error.allowed).encode()))
    elif isinstance(error, UnauthenticatedError):
        answer.headers.append((b"www-authenticate", b"Bearer"))
    return answer


def problem(
    kind: Kind, detail: str, *, path: str, request_id: str, errors: list[dict[str, str]] | None = None
) -> Response:
    """A problem as PLATFORM section 3 has it. `instance` is the path alone: a query may carry what is private."""
    return Response(
        kind.status,
        orjson.dumps(
            {
                "type": kind.uri if kind.slug else "about:blank",
                "title": kind.title,
                "status": kind.status,
                "detail": detail,
                "instance": quote(path, safe="/:@!$&'()*+,;=~"),
                "requestId": request_id,
                "errors": errors or [],
                "statusMessage": detail,
            }
        ),
        content_type=PROBLEM,
    )
