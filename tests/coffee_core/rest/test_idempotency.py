"""A POST with an Idempotency-Key happens once, whatever its sender sees of it: on PostgreSQL, behind the pipeline."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.domain.context import CURRENT, RequestContext
from coffee_core.domain.errors import InputError
from coffee_core.http.application import Application
from coffee_core.persistence.errors import SerializationError
from coffee_core.persistence.idempotency import PostgresIdempotency
from coffee_core.persistence.migrations.runner import History, upgrade
from coffee_core.persistence.serializable import serializable
from coffee_core.rest.api import Api
from coffee_core.rest.container import Container
from coffee_core.rest.idempotency import Idempotency, IdempotencySettings, scope_of
from coffee_core.rest.page import Envelope
from coffee_core.rest.route import Route
from coffee_core.rest.service import Service
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.wire.message import BufferedBody, Request, Response
from tests.coffee_core.http.rig import application, header, problem
from tests.coffee_core.rest.sample import BookEntity, BookEntry, connection

PARTNERS = itertools.count(5_000_000)
BOOK = "/thing-service/api/book"
Gate = Callable[[], Awaitable[None]]


class Shelf:
    """The sample resource with kept answers, and a caller of a partner of his own."""

    def __init__(self, store: PostgresStore, api: Api[BookEntry, BookEntity, int]) -> None:
        self.store = store
        self.api = api
        self.partner = next(PARTNERS)
        self.gate: Gate | None = None
        self.app = self.built()

    def built(self, **settings: int) -> Application:
        repeatable = Idempotency(PostgresIdempotency(self.store.pool), IdempotencySettings(**settings))
        gated = Route(
            method="POST", path="/api/gated", handler=self.gated, name="gated", summary="", repeatable=True, status=201
        )
        return application(*(repeatable.route(route) for route in [*self.api.routes(), gated]))

    async def gated(self, request: Request) -> Response:
        """Creates, then waits for what the test says."""
        response = await self.api.create(request)
        if self.gate is not None:
            await self.gate()
        return response

    async def post(
        self,
        body: object,
        key: str | None = None,
        *,
        path: str = BOOK,
        user: int = 5,
        plan: str = "PAID",
        app: Application | None = None,
    ) -> Response:
        headers = {b"x-bb-partner-id": b"%d" % self.partner, b"x-bb-account-id": b"1", b"x-bb-uid": b"%d" % user}
        headers |= {b"x-bb-plan-type": plan.encode()}
        if key is not None:
            headers[b"idempotency-key"] = key.encode()
        where, _, query = path.partition("?")
        request = Request(
            "POST", where, query.encode(), headers, BufferedBody(orjson.dumps(body)), client="203.0.113.9"
        )
        return await (app or self.app).handler(request)

    async def count(self) -> int:
        async with connection(self.store.pool.url) as raw:
            return int(await raw.fetchval("SELECT count(*) FROM shelf.book WHERE partner_id = $1", self.partner))

    async def kept(self) -> int:
        async with connection(self.store.pool.url) as raw:
            return int(
                await raw.fetchval("SELECT count(*) FROM coffee.idempotency WHERE partner_id = $1", self.partner)
            )


@pytest.fixture
async def shelf(store: PostgresStore, books: Api[BookEntry, BookEntity, int]) -> Shelf:
    await upgrade(store.pool.url, [History("coffee", "coffee_core.messaging.migrations")], lambda _: None)
    return Shelf(store, books)


def new_key() -> str:
    return f'"{uuid.uuid4()}"'


async def test_a_repeated_request_is_done_once_and_answered_alike(shelf: Shelf) -> None:
    key = new_key()
    first = await shelf.post({"title": "Emma"}, key)
    again = await shelf.post({"title": "Emma"}, key)
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    for name in (b"location", b"etag"):
        assert header(again, name) == header(first, name) is not None
    assert (header(first, b"idempotent-replayed"), header(again, b"idempotent-replayed")) == (None, b"true")
    assert await shelf.count() == 1


async def test_a_bulk_request_is_repeatable_too(shelf: Shelf) -> None:
    key, body = new_key(), {"create": [{"title": "Emma"}, {"title": "Persuasion"}]}
    first = await shelf.post(body, key, path=BOOK + "/bulk")
    again = await shelf.post(body, key, path=BOOK + "/bulk")
    assert (first.status, again.body, await shelf.count()) == (200, first.body, 2)


async def test_a_key_with_quotes_and_without_is_the_same(shelf: Shelf) -> None:
    key = new_key()
    await shelf.post({"title": "Emma"}, key)
    assert header(await shelf.post({"title": "Emma"}, key.strip('"')), b"idempotent-replayed") == b"true"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"title": "Persuasion"}, BOOK),
        ({"title": "Emma"}, "/thing-service/api/gated"),
        ({}, BOOK + "/bulk?atomic=false"),
    ],
    ids=["another body", "another path", "another query"],
)
async def test_a_key_that_was_used_for_another_request_is_refused(shelf: Shelf, body: object, path: str) -> None:
    key = new_key()
    await shelf.post({"title": "Emma"}, key)
    refused = await shelf.post(body, key, path=path)
    assert (refused.status, problem(refused)["type"]) == (422, "urn:coffee:problem:rule")
    assert await shelf.count() == 1


async def test_an_answer_is_not_repeated_on_another_plan(shelf: Shelf) -> None:
    """It shows what the plan of its time shows."""
    key = new_key()
    first = await shelf.post({"title": "Emma", "email": "hidden@x.example"}, key, plan="SAAS")
    assert b"hidden@x.example" in first.body
    refused = await shelf.post({"title": "Emma", "email": "hidden@x.example"}, key, plan="FREE")
    assert (refused.status, await shelf.count()) == (422, 1)
    assert b"hidden" not in refused.body


async def test_the_same_key_of_another_user_or_partner_is_another_key(
    shelf: Shelf, store: PostgresStore, books: Api[BookEntry, BookEntity, int]
) -> None:
    key, other = new_key(), Shelf(store, books)
    assert (await shelf.post({"title": "Emma"}, key)).status == 201
    assert (await shelf.post({"title": "Persuasion"}, key, user=6)).status == 201
    assert (await other.post({"title": "Emma"}, key)).status == 201
    assert (await shelf.count(), await other.count()) == (2, 1)


async def test_a_failed_request_keeps_nothing_so_that_it_may_succeed_later(shelf: Shelf) -> None:
    key = new_key()
    await shelf.post({"title": "Emma"})
    assert (await shelf.post({"title": "Emma"}, key)).status == 409  # the title is taken
    assert await shelf.kept() == 0
    async with connection(shelf.store.pool.url) as raw:
        await raw.execute("DELETE FROM shelf.book WHERE partner_id = $1", shelf.partner)
    assert (await shelf.post({"title": "Emma"}, key)).status == 201


async def test_answer_and_write_are_undone_together(shelf: Shelf) -> None:
    async def broken() -> None:
        raise RuntimeError

    shelf.gate = broken
    assert (await shelf.post({"title": "Emma"}, new_key(), path="/thing-service/api/gated")).status == 500
    assert (await shelf.count(), await shelf.kept()) == (0, 0)


async def test_while_the_first_request_runs_the_same_one_is_a_conflict(shelf: Shelf) -> None:
    key, running, go = new_key(), asyncio.Event(), asyncio.Event()

    async def gate() -> None:
        running.set()
        await go.wait()

    shelf.gate = gate
    path = "/thing-service/api/gated"
    first = asyncio.create_task(shelf.post({"title": "Emma"}, key, path=path))
    await asyncio.wait_for(running.wait(), 20)
    second = await shelf.post({"title": "Emma"}, key, path=path)
    assert (second.status, problem(second)["type"]) == (409, "urn:coffee:problem:conflict")
    go.set()
    assert (await first).status == 201
    assert header(await shelf.post({"title": "Emma"}, key, path=path), b"idempotent-replayed") == b"true"


async def test_of_many_requests_at_once_one_is_done(shelf: Shelf) -> None:
    key = new_key()
    answers = await asyncio.gather(*(shelf.post({"title": "Emma"}, key) for _ in range(20)))
    assert {answer.status for answer in answers} <= {201, 409}
    assert len({answer.body for answer in answers if answer.status == 201}) == 1
    assert await shelf.count() == 1


async def test_a_caller_who_has_gone_leaves_the_key_free(shelf: Shelf) -> None:
    key, running = new_key(), asyncio.Event()

    async def gate() -> None:
        running.set()
        await asyncio.Event().wait()

    shelf.gate = gate
    first = asyncio.create_task(shelf.post({"title": "Emma"}, key, path="/thing-service/api/gated"))
    await asyncio.wait_for(running.wait(), 20)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    shelf.gate = None
    assert (await shelf.post({"title": "Emma"}, key, path="/thing-service/api/gated")).status == 201


async def test_without_a_key_nothing_is_kept(shelf: Shelf) -> None:
    await shelf.post({"title": "Emma"})
    assert await shelf.kept() == 0


@pytest.mark.parametrize("key", ["", '""', "a b", '"a", "b"', "é", '"a', "x" * 256, '"a\\"b"'])
async def test_a_malformed_key_is_refused(shelf: Shelf, key: str) -> None:
    refused = await shelf.post({"title": "Emma"}, key)
    assert (refused.status, await shelf.count()) == (400, 0)
    assert problem(refused)["errors"][0]["pointer"] == "Idempotency-Key"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_key_of_visible_ascii_or_refused(raw: bytes) -> None:
    token = CURRENT.set(RequestContext(request_id="r", partner_id=1, user_id=2))
    try:
        key = scope_of(raw).key
    except InputError:
        return
    finally:
        CURRENT.reset(token)
    assert key.isascii()
    assert key.isprintable()
    assert 1 <= len(key) <= 255
    assert raw in (key.encode(), b'"%b"' % key.encode())


async def test_an_answer_too_large_to_keep_is_still_done_once(shelf: Shelf) -> None:
    key, small = new_key(), shelf.built(answer_bytes_max=10)
    assert (await shelf.post({"title": "Emma"}, key, app=small)).status == 201
    again = await shelf.post({"title": "Emma"}, key, app=small)
    assert (again.status, await shelf.count()) == (409, 1)
    assert "too large to keep" in problem(again)["detail"]


async def test_a_body_beyond_the_bound_is_refused(shelf: Shelf) -> None:
    assert (await shelf.post({"title": "Emma"}, new_key(), app=shelf.built(body_bytes_max=5))).status == 413


async def test_what_was_kept_long_enough_is_forgotten(shelf: Shelf) -> None:
    key = new_key()
    await shelf.post({"title": "Emma"}, key)
    await shelf.post({"title": "Persuasion"}, new_key())
    async with connection(shelf.store.pool.url) as raw:
        aged = (
            "UPDATE coffee.idempotency SET stored_at = stored_at - interval '25 hours' "
            "WHERE partner_id = $1 AND key = $2"
        )
        await raw.execute(aged, shelf.partner, key.strip('"'))
    assert (await shelf.post({"title": "Sanditon"}, key)).status == 201  # too old to count, even before the cleaning
    async with connection(shelf.store.pool.url) as raw:
        await raw.execute(aged, shelf.partner, key.strip('"'))
    assert await PostgresIdempotency(shelf.store.pool).forget(24) == 1
    assert await shelf.kept() == 1


async def test_routes_say_in_their_description_that_they_are_repeatable(shelf: Shelf) -> None:
    repeatable = Idempotency(PostgresIdempotency(shelf.store.pool))
    described = {
        route.name for route in map(repeatable.route, shelf.api.routes()) if "Idempotency-Key" in str(route.parameters)
    }
    assert described == {"book_create", "book_bulk", "book_restore"}


class CarefulService(Service[BookEntry, BookEntity, int]):
    """A Service that asks for SERIALIZABLE, as a module author writes it."""

    async def create(self, entry: BookEntry) -> Envelope[BookEntry]:
        create = super().create
        return await serializable(lambda: create(entry))


async def test_a_use_case_under_serializable_is_repeatable(
    store: PostgresStore, container: Container, shelf: Shelf
) -> None:
    careful = Api(CarefulService(container.manager(BookEntry, BookEntity, BookEntity.id)), int, "book")
    other, key = Shelf(store, careful), new_key()
    first, again = await other.post({"title": "Emma"}, key), await other.post({"title": "Emma"}, key)
    assert (first.status, again.body, await other.count()) == (201, first.body, 1)
    assert (await other.post({"title": "Persuasion"})).status == 201  # without a key as well


class MeetingService(CarefulService):
    """Whose first attempts meet another transaction."""

    meetings = 2

    async def create(self, entry: BookEntry) -> Envelope[BookEntry]:
        async def create() -> Envelope[BookEntry]:
            stored = await Service.create(self, entry)
            if self.meetings:
                self.meetings -= 1
                raise SerializationError("two writes met", retry_after=0)
            return stored

        return await serializable(create)


@pytest.mark.parametrize("key", [new_key(), None], ids=["with a key", "without"])
async def test_a_use_case_that_is_run_again_is_stored_once(
    store: PostgresStore, container: Container, shelf: Shelf, key: str | None
) -> None:
    assert await shelf.kept() == 0  # the tables are there
    meeting = Api(MeetingService(container.manager(BookEntry, BookEntity, BookEntity.id)), int, "book")
    other = Shelf(store, meeting)
    assert (await other.post({"title": "Emma"}, key)).status == 201
    assert (await other.count(), await other.kept()) == (1, 0 if key is None else 1)
