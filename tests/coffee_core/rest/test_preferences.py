"""`Prefer` is followed where it is known, and refused where it is not."""

from __future__ import annotations

from contextlib import suppress
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.domain.context import RequestContext
from coffee_core.domain.errors import InputError
from coffee_core.domain.plan import Plan
from coffee_core.http.router import Router
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.api import Api
from coffee_core.rest.preferences import COUNT, RETURN, read
from coffee_core.wire.message import BufferedBody, Request, Response
from tests.coffee_core.rest.conftest import Caller
from tests.coffee_core.rest.sample import BookEntity, BookEntry

Books: TypeAlias = Api[BookEntry, BookEntity, int]


async def send(
    caller: Caller, books: Books, method: str, path: str, prefer: str, body: bytes = b"", query: bytes = b""
) -> Response:
    request = Request(method, f"/s/api/book{path}", query, {b"prefer": prefer.encode()}, BufferedBody(body))
    async with acting_as(RequestContext(request_id="r", partner_id=caller.partner, user_id=5, plan=Plan.PAID)):
        return await Router({"s": books.routes()})(request)


async def test_a_write_answers_its_record_or_its_headers_alone(caller: Caller, books: Books) -> None:
    made = await send(caller, books, "POST", "", "return=minimal", b'{"title": "Emma"}')
    headers = dict(made.headers)
    assert (made.status, made.body, headers[b"etag"], headers[b"preference-applied"]) == (
        201, b"", b'"1"', b"return=minimal",
    )  # fmt: skip
    one = "/" + headers[b"location"].decode().rsplit("/", 1)[1]
    changed = await send(caller, books, "PATCH", one, "return=minimal", b'{"pages": 1}')
    assert (changed.status, changed.body, dict(changed.headers)[b"etag"]) == (204, b"", b'"2"')
    whole = await send(caller, books, "PATCH", one, "return=representation", b'{"pages": 2}')
    assert (whole.status, b'"pages":2' in whole.body) == (200, True)


async def test_a_dry_run_may_be_minimal_too(caller: Caller, books: Books) -> None:
    tried = await send(caller, books, "POST", "", "return=minimal", b'{"title": "Emma"}', b"dryRun=true")
    assert (tried.status, tried.body, dict(tried.headers)[b"dry-run"]) == (201, b"", b"true")


async def test_a_search_may_prefer_how_it_counts(caller: Caller, books: Books) -> None:
    answer = await send(caller, books, "POST", "/search", "count=none")
    assert b'"totalCount":null' in answer.body
    assert (b"preference-applied", b"count=none") in answer.headers
    with pytest.raises(InputError, match="differ"):
        await send(caller, books, "POST", "/search", "count=none", query=b"count=exact")


async def test_a_preference_that_is_unknown_is_refused_and_the_known_ones_are_named(
    caller: Caller, books: Books
) -> None:
    for method, path, prefer in (
        ("POST", "/search", "return=minimal"),
        ("POST", "/search", "respond-async"),
        ("POST", "/search", "handling=lenient"),
        ("GET", "/1", "count=exact"),
        ("POST", "", "return=everything"),
    ):
        with pytest.raises(InputError, match=r"Prefer knows no .*; there are .*handling=strict"):
            await send(caller, books, method, path, prefer, b'{"title": "Emma"}')
    assert (await send(caller, books, "POST", "/search", "handling=strict")).status == 200


def test_names_are_read_as_rfc_7240_writes_them() -> None:
    assert read(b'Return = "minimal" , handling=strict,', RETURN) == {"return": "minimal", "handling": "strict"}
    with pytest.raises(InputError, match="twice"):
        read(b"return=minimal, return=minimal", RETURN)


@given(st.binary(max_size=60))
def test_whatever_stands_in_the_header_is_read_or_refused(raw: bytes) -> None:
    with suppress(InputError):
        assert read(raw, {**RETURN, **COUNT}).keys() <= {"return", "count", "handling"}
