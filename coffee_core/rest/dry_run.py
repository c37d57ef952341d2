"""`dryRun=true`: a write that does everything, is answered as if it were done, and is rolled back."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import msgspec

from coffee_core.domain.errors import FieldError, InputError
from coffee_core.persistence.rehearsal import rehearse
from coffee_core.rest.route import Parameter, Route
from coffee_core.wire.message import Handler, Request, Response

NAME = "dryRun"
_GIVEN = NAME.encode() + b"="
MARK = (b"dry-run", b"true")
"""On every answer of a dry run."""
MESSAGE = "dry run: nothing was stored"

PARAMETER = Parameter(
    name=NAME, where="query", enum=("true", "false"), default="false",
    description="Do everything, answer as if it were done, then roll back: nothing is stored and nothing goes out.",
)  # fmt: skip


class _Answer(msgspec.Struct):
    """An envelope whose records are not looked into."""

    data: msgspec.Raw
    count: int
    totalCount: int | None  # noqa: N815  # as on the wire
    status: dict[str, Any]  # Any: parsed JSON


_decode = msgspec.json.Decoder(_Answer).decode
_encode = msgspec.json.Encoder().encode


def asked(query: bytes) -> bool:
    """Whether a dry run is asked for; a value that is neither `true` nor `false` is `InputError`."""
    return _GIVEN in query and _split(query)[0]


def _split(query: bytes) -> tuple[bool, bytes]:
    """What `dryRun` says, and the query without it."""
    parts = query.split(b"&")
    given = [part[len(_GIVEN) :] for part in parts if part.startswith(_GIVEN)]
    if not given:
        return False, query
    detail = "is given twice" if len(given) > 1 else "" if given[0] in (b"true", b"false") else "must be true or false"
    if detail:
        raise InputError(f"parameter {NAME!r} {detail}", errors=[FieldError(f"?{NAME}", detail)])
    return given[0] == b"true", b"&".join([part for part in parts if not part.startswith(_GIVEN)])


def dry_runnable(route: Route) -> Route:
    """The route with `dryRun`: for operations that write through the unit of work alone, and answer no stream."""
    return replace(route, handler=_handler(route.handler), parameters=(*route.parameters, PARAMETER))


def _handler(following: Handler) -> Handler:
    def handle(request: Request) -> Awaitable[Response]:
        if _GIVEN not in request.query:
            return following(request)
        dry, request.query = _split(request.query)
        return _rehearsed(request, following) if dry else following(request)

    return handle


async def _rehearsed(request: Request, following: Handler) -> Response:
    return marked(await rehearse(lambda: following(request)))


def marked(response: Response) -> Response:
    """The answer, saying that nothing was stored."""
    response.headers.append(MARK)
    if response.body and response.status < 400:
        answer = _decode(response.body)
        said = answer.status.get("message", "")
        answer.status["message"] = f"{MESSAGE}; {said}" if said else MESSAGE
        response.body = _encode(answer)
    return response
