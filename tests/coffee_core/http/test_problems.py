"""What a caller is told when something went wrong, and what not."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import unquote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.domain import errors
from coffee_core.domain.errors import (
    CoffeeError,
    ConflictError,
    FieldError,
    InputError,
    LimitError,
    MethodError,
    RetryableError,
    UnauthenticatedError,
    UnavailableError,
    UsageLimitError,
)
from coffee_core.http.problems import KINDS, problem_of, status_of
from coffee_core.persistence.errors import SerializationError
from coffee_core.wire.errors import WireError
from tests.coffee_core.http.rig import header, problem

STATUSES = {
    "InputError": 400, "UnauthenticatedError": 401, "PlanError": 402, "ForbiddenError": 403, "NotFoundError": 404,
    "MethodError": 405, "NotAcceptableError": 406, "ConflictError": 409, "GoneError": 410, "VersionMismatchError": 412,
    "TooLargeError": 413, "MediaTypeError": 415, "RuleError": 422, "VersionRequiredError": 428, "LimitError": 429,
    "UsageLimitError": 429, "UnavailableError": 503, "DeadlineError": 504,
}  # fmt: skip


def every_error(base: type[CoffeeError] = CoffeeError) -> set[type[CoffeeError]]:
    """All of the domain's, without abstract bases."""
    return {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, base)} - {
        CoffeeError,
        RetryableError,
    }


def test_every_domain_error_has_its_status() -> None:
    assert {kind.__name__: KINDS[kind].status for kind in every_error()} == STATUSES


def test_kinds_are_told_apart_by_their_type() -> None:
    assert len({kind.uri for kind in KINDS.values()}) == len(KINDS)


def test_an_error_that_is_not_listed_takes_the_status_of_its_nearest_ancestor() -> None:
    assert status_of(SerializationError("two writes met")) == 503


def test_a_problem_has_the_members_of_the_platform() -> None:
    response = problem_of(ConflictError("there is one already"), path="/x-service/api/x", request_id="r-1")
    assert problem(response) == {
        "type": "urn:coffee:problem:conflict",
        "title": "Conflict with what is stored",
        "status": 409,
        "detail": "there is one already",
        "instance": "/x-service/api/x",
        "requestId": "r-1",
        "errors": [],
        "statusMessage": "there is one already",
    }


def test_bad_fields_are_named_with_their_pointers() -> None:
    error = InputError("two fields", errors=[FieldError("/name", "is missing"), FieldError("?size", "is too large")])
    assert problem(problem_of(error, path="/", request_id="r"))["errors"] == [
        {"pointer": "/name", "detail": "is missing"},
        {"pointer": "?size", "detail": "is too large"},
    ]


@pytest.mark.parametrize("error", [ValueError("password=hunter2"), KeyError("hunter2"), MemoryError("hunter2")])
def test_a_fault_of_ours_tells_nothing_of_itself(error: Exception) -> None:
    response = problem_of(error, path="/", request_id="r")
    assert response.status == 500
    assert b"hunter2" not in response.body


def test_what_the_wire_refuses_is_a_plain_problem() -> None:
    found = problem(problem_of(WireError(431, "too many headers"), path="/", request_id="r"))
    assert (found["type"], found["title"]) == ("about:blank", "Request Header Fields Too Large")


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (LimitError("no more", retry_after=2.1), b"retry-after", b"3"),
        (UnavailableError("down", retry_after=0), b"retry-after", b"0"),
        (MethodError("no", allowed=["GET", "HEAD"]), b"allow", b"GET, HEAD"),
        (UnauthenticatedError("who?"), b"www-authenticate", b"Bearer"),
    ],
)
def test_a_status_comes_with_the_header_that_belongs_to_it(error: Exception, name: bytes, value: bytes) -> None:
    assert header(problem_of(error, path="/", request_id="r"), name) == value


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_the_instance_is_a_uri_reference_of_the_path(path: str) -> None:
    found = orjson.loads(problem_of(InputError("no"), path=f"/{path}", request_id="r").body)
    assert found["instance"].isascii()
    assert " " not in found["instance"]
    assert unquote(found["instance"]) == f"/{path}"


def test_what_is_used_up_says_when_it_begins_anew() -> None:
    error = UsageLimitError(
        "DISCOVERY is used up", remaining=0, reset=datetime(2026, 12, 31, tzinfo=UTC), retry_after=3600.2
    )
    response = problem_of(error, path="/", request_id="r")
    assert header(response, b"usage-reset") == b"2026-12-31T00:00:00Z"
    assert (header(response, b"usage-remaining"), header(response, b"retry-after")) == (b"0", b"3601")
    assert problem(response)["type"] == "urn:coffee:problem:usage-limit"
