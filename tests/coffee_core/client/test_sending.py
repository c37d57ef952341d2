"""What may be sent again is sent again, as the service asks; nothing else is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TypeAlias

import httpx2
import orjson
import pytest

from coffee_core.client.module_client import ModuleClient
from coffee_core.client.problems import ServerError, retry_after
from coffee_core.domain.errors import (
    CoffeeError,
    LimitError,
    MethodError,
    NotFoundError,
    UnavailableError,
    UsageLimitError,
)
from coffee_core.resilience.retry import Backoff
from coffee_core.rest.patch import Patch
from tests.coffee_core.rest.sample import BookEntry
from tests.support.scripted import Scripted, answer

Books: TypeAlias = ModuleClient[BookEntry, int]
Call: TypeAlias = Callable[[Books], Awaitable[object]]

EMMA = BookEntry(title="Emma")
ENVELOPE = orjson.dumps(
    {"data": [{"id": 1, "title": "Emma"}], "count": 1, "totalCount": 1, "status": {"status": "SUCCESS", "message": ""}}
)
FINE = answer(200, ENVELOPE, etag='"3"')
BUSY = answer(503, retry_after="0")
LOST = b""


async def ask(answers: list[bytes], call: Call) -> tuple[Scripted, object]:
    """The server, and the call's result or the error that it raised."""
    async with Scripted(answers) as server, httpx2.AsyncClient(base_url=server.url, trust_env=False) as http:
        books = ModuleClient(
            BookEntry, int, http, "s", "book", backoff=Backoff(attempts=3, first_seconds=0.001, longest_seconds=1)
        )
        try:
            return server, await call(books)
        except CoffeeError as error:
            return server, error


REPEATED: list[object] = [
    pytest.param(lambda books: books.get(1), id="a read"),
    pytest.param(lambda books: books.get_many([1]), id="reads"),
    pytest.param(lambda books: books.search(), id="a search"),
    pytest.param(lambda books: books.replace(1, EMMA), id="a replacement of any version"),
    pytest.param(lambda books: books.delete(1), id="a delete"),
    pytest.param(lambda books: books.create(EMMA, idempotency_key="k"), id="a create with a key"),
    pytest.param(lambda books: books.restore(1, idempotency_key="k"), id="a restore with a key"),
]
ONCE: list[object] = [
    pytest.param(lambda books: books.create(EMMA), id="a create without a key"),
    pytest.param(lambda books: books.patch(1, Patch(BookEntry, {"pages": 2})), id="a patch"),
    pytest.param(lambda books: books.replace(1, EMMA, etag='"3"'), id="a replacement of one version"),
    pytest.param(lambda books: books.bulk(create=[EMMA]), id="a bulk without a key"),
]


@pytest.mark.parametrize("call", REPEATED)
@pytest.mark.parametrize("trouble", [BUSY, LOST, answer(502), answer(429, retry_after="0")], ids=str)
async def test_what_is_safe_or_has_a_key_is_sent_again(call: Call, trouble: bytes) -> None:
    server, result = await ask([trouble, trouble, FINE], call)
    assert not isinstance(result, CoffeeError), result
    assert len(server.asked) == 3
    assert len({(asked.line, asked.body, asked.headers.get("idempotency-key")) for asked in server.asked}) == 1


@pytest.mark.parametrize("call", ONCE)
@pytest.mark.parametrize("trouble", [BUSY, LOST], ids=str)
async def test_what_might_be_done_twice_is_sent_once(call: Call, trouble: bytes) -> None:
    server, result = await ask([trouble, FINE], call)
    assert isinstance(result, UnavailableError)
    assert len(server.asked) == 1


async def test_attempts_are_bounded_and_the_last_error_tells() -> None:
    server, result = await ask([BUSY] * 5, lambda books: books.get(1))
    assert isinstance(result, UnavailableError)
    assert len(server.asked) == 3


async def test_a_fault_and_a_refusal_are_not_tried_again() -> None:
    for status, kind in ((500, ServerError), (404, NotFoundError), (405, MethodError)):
        server, result = await ask([answer(status, allow="GET, PUT"), FINE], lambda books: books.get(1))
        assert type(result) is kind
        assert len(server.asked) == 1
    assert isinstance(result, MethodError)
    assert result.allowed == ("GET", "PUT")


async def test_a_wait_longer_than_we_have_is_told_and_not_waited_for() -> None:
    server, result = await ask([answer(429, retry_after="120"), FINE], lambda books: books.get(1))
    assert isinstance(result, LimitError)
    assert result.retry_after == 120
    assert len(server.asked) == 1


async def test_what_is_used_up_says_when_it_begins_anew_and_is_not_asked_for_again() -> None:
    used_up = answer(429, retry_after="86400", usage_reset="2026-12-31T00:00:00Z", usage_remaining="2")
    server, result = await ask([used_up, FINE], lambda books: books.search())
    assert isinstance(result, UsageLimitError)
    assert (result.reset, result.remaining, result.retry_after) == (datetime(2026, 12, 31, tzinfo=UTC), 2, 86_400)
    assert len(server.asked) == 1


async def test_a_search_that_is_sent_again_says_that_it_is_the_same() -> None:
    keys = []
    for _ in range(2):
        server, _ = await ask([LOST, FINE], lambda books: books.search())
        first, again = (asked.headers.get("idempotency-key") for asked in server.asked)
        assert first == again
        keys.append(first)
    assert None not in keys
    assert len(set(keys)) == 2


async def test_a_delete_whose_answer_was_lost_is_done_when_nothing_is_left() -> None:
    _, result = await ask([LOST, answer(404)], lambda books: books.delete(1))
    assert result is None
    _, result = await ask([answer(404)], lambda books: books.delete(1))
    assert isinstance(result, NotFoundError)


def test_a_wait_may_be_a_number_or_a_date() -> None:
    def asked(text: str) -> float:
        return retry_after(httpx2.Response(503, headers={"retry-after": text}))

    assert asked("7") == 7
    assert 20 < asked(format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)) <= 30
    assert asked(format_datetime(datetime.now(UTC) - timedelta(seconds=30), usegmt=True)) == 0
    assert asked("soon") == asked("") == asked("-1") == 0


async def test_an_export_that_breaks_off_says_so_after_what_came() -> None:
    broken = answer(200, b'{"id":1,"title":"Emma"}\n').replace(b"content-length: 24", b"content-length: 99")

    async def export(books: Books) -> object:
        titles: list[str] = []
        try:
            async for book in books.export():
                titles.append(book.title)  # noqa: PERF401  # what came before the error counts
        except UnavailableError as error:
            return titles, str(error)
        return titles, ""

    _, result = await ask([BUSY, broken], export)
    assert isinstance(result, tuple)
    assert result[0] == ["Emma"]
    assert "broke off" in result[1]


async def test_an_id_is_one_segment_whatever_it_holds() -> None:
    async with Scripted([FINE]) as server, httpx2.AsyncClient(base_url=server.url, trust_env=False) as http:
        await ModuleClient(BookEntry, str, http, "s", "book").get("a/../b?c")
    assert server.asked[0].line == "GET /s/api/book/a%2F..%2Fb%3Fc HTTP/1.1"


async def test_a_caller_who_leaves_is_not_kept_by_a_pause() -> None:
    async with (
        Scripted([answer(503, retry_after="60")]) as server,
        httpx2.AsyncClient(base_url=server.url, trust_env=False) as http,
    ):
        patient = Backoff(longest_seconds=100)
        waiting = asyncio.ensure_future(ModuleClient(BookEntry, int, http, "s", "book", backoff=patient).get(1))
        while not server.asked:
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
