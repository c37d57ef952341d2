"""What became of the records of a bulk request: results, as they are described and as they are written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec
from pydantic import BaseModel

from coffee_core.domain.errors import CoffeeError, FieldError, RetryableError

Part = Literal["create", "upsert", "update", "delete"]
PARTS: tuple[Part, ...] = ("create", "upsert", "update", "delete")
PLACES = {part: at for at, part in enumerate(PARTS)}
ERRORS_SHOWN = 100
"""Mistakes that one refusal lists."""

_encode = msgspec.json.Encoder().encode


class BulkProblem(BaseModel):
    """Why one record was not written."""

    kind: str
    """The kind of problem, as the last part of a problem's `type`: `input`, `conflict`, `not-found` ..."""
    detail: str
    errors: Sequence[dict[str, str]] = ()


class BulkResult(BaseModel):
    """What became of one record of the request."""

    operation: Part
    index: int
    status: Literal["created", "updated", "unchanged", "deleted", "refused"]
    id: int | str | None = None
    problem: BulkProblem | None = None


class Result(msgspec.Struct, omit_defaults=True):
    """A `BulkResult` as it is written: ten thousand of them are one answer."""

    operation: Part
    index: int
    status: Literal["created", "updated", "unchanged", "deleted", "refused"]
    id: int | str | None = None
    problem: Problem | None = None


class Problem(msgspec.Struct):
    """A `BulkProblem` as it is written."""

    kind: str
    detail: str
    errors: Sequence[dict[str, str]]


def place(result: Result) -> tuple[int, int]:
    return PLACES[result.operation], result.index


def plain_id(id: object) -> int | str | None:
    return id if id is None or isinstance(id, int | str) else str(id)


def plain_ids(ids: Sequence[object]) -> Sequence[int | str | None]:
    """All of them are of one kind nearly always."""
    return ids if set(map(type, ids)) == {int} else [plain_id(id) for id in ids]  # type: ignore[return-value]  # all are


def placed(error: CoffeeError, part: Part, index: int) -> list[FieldError]:
    """The mistakes of one record, with their place in the whole body."""
    where = f"/{part}/{index}"
    if not error.errors:
        return [FieldError(where, error.detail)]
    return [FieldError(where + one.pointer, one.detail) for one in error.errors]


def as_whole(error: CoffeeError, mistakes: Sequence[FieldError]) -> CoffeeError:
    """The same kind of error for the whole request: nothing was written."""
    if not mistakes or isinstance(error, RetryableError):
        return error
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    return type(error)(f"{mistakes[0].pointer}: {mistakes[0].detail}{more}", errors=mistakes[:ERRORS_SHOWN])


def kind_of(error: CoffeeError) -> str:
    """`ConflictError` -> `conflict`: the nearest of our own errors, as the last part of a problem's type."""
    kind = next(k for k in type(error).__mro__ if k.__module__ == CoffeeError.__module__)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__.removesuffix("Error")).lower()


def refused(part: Part, index: int, error: CoffeeError) -> Result:
    errors = [{"pointer": one.pointer, "detail": one.detail} for one in error.errors]
    problem = Problem(kind=kind_of(error), detail=error.detail, errors=errors)
    return Result(operation=part, index=index, status="refused", problem=problem)


def encode(results: Sequence[Result]) -> bytes:
    """The results as JSON; what a record does not have is left out."""
    return _encode(results)
