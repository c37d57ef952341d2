"""The caller of a module's tests: who he is, what he sends, what he gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar, Protocol

import pytest

from coffee_core.domain.errors import RuleError
from coffee_core.domain.event import Event
from coffee_core.domain.plan import Plan
from coffee_core.rest.container import Container, Listener, Mounted
from coffee_core.stores.memory.store import MemoryStore
from coffee_core.testing.api_client import ApiClient
from coffee_core.testing.entries import a_valid
from coffee_core.testing.events import RecordedEvents
from coffee_core.testing.running import running
from tests.coffee_core.rest.sample import BookEntity, BookEntry

BOOK = "/shelf-service/api/book"


class ShelfModule:
    name, service, migrations = "shelf", "shelf-service", None

    def mount(self, container: Container) -> Mounted:
        books = container.manager(BookEntry, BookEntity, BookEntity.id)
        return Mounted(routes=container.api(books, int, "book").routes())


@pytest.fixture(scope="module")
async def api() -> AsyncIterator[ApiClient]:
    async with running([ShelfModule()], MemoryStore(), events=RecordedEvents()) as api:
        yield api


async def test_each_partner_sees_its_own(api: ApiClient) -> None:
    made = await api.as_partner(1).post(BOOK, a_valid(BookEntry, title="Moby Dick"))
    assert (made.status, made.headers["content-type"]) == (201, "application/json")
    path = f"{BOOK}/{made.data[0]['id']}"
    assert (await api.as_partner(1).get(path)).data[0]["title"] == "Moby Dick"
    assert (await api.as_partner(2).get(path)).status == 404
    assert (await api.get(path)).status == 401


async def test_a_plan_decides_what_is_shown(api: ApiClient) -> None:
    paid = api.as_partner(3)
    path = f"{BOOK}/{(await paid.post(BOOK, {'title': 'Emma', 'email': 'a@example.com'})).data[0]['id']}"
    assert (await paid.get(path)).data[0]["email"] == "a@example.com"
    assert (await paid.on_plan(Plan.FREE).get(path)).data[0]["email"] is None
    assert (await paid.on_plan(Plan.FREE).patch(path, {"email": "b@example.com"})).status == 402


async def test_parameters_headers_and_bytes_arrive(api: ApiClient) -> None:
    caller = api.as_partner(4)
    made = await caller.post(BOOK, b'{"title": "Ulysses"}')
    path = f"{BOOK}/{made.data[0]['id']}"
    assert set((await caller.get(path, query={"fields": "id,title"})).data[0]) == {"id", "title"}
    assert (await caller.put(path, {"title": "Dubliners"}, headers={"if-match": '"99"'})).status == 412
    assert (await caller.delete(path)).status == 204


class Roasting(Protocol):
    """Something that another module would give."""

    def degree(self) -> str: ...


class LightRoasting:
    def degree(self) -> str:
        return "light"


class NeedyModule(ShelfModule):
    def __init__(self) -> None:
        self.degree = ""

    def mount(self, container: Container) -> Mounted:
        self.degree = container.need(Roasting).degree()
        return super().mount(container)


async def test_what_a_module_needs_is_met_before_it_is_mounted() -> None:
    needy = NeedyModule()

    def meet(container: Container) -> None:
        container.meet(Roasting, LightRoasting())

    async with running([needy], MemoryStore(), events=RecordedEvents(), wiring=meet):
        assert needy.degree == "light"
    with pytest.raises(LookupError, match="Roasting"):
        async with running([needy], MemoryStore(), events=RecordedEvents()):
            pass


class BookLent(Event):
    topic: ClassVar[str] = "shelf.dx___book_lent_q"
    type: ClassVar[str] = "book_lent"
    title: str


class LendingModule(ShelfModule):
    """Keeps a book for each loan, but refuses one."""

    def mount(self, container: Container) -> Mounted:
        books = container.manager(BookEntry, BookEntity, BookEntity.id)

        async def lent(event: BookLent) -> None:
            await books.create(BookEntry(title=event.title))
            if event.title == "Lost":
                raise RuleError("it is lost")

        listener = Listener(topic=BookLent.topic, event=BookLent, handle=lent, name="shelf.lent")
        return Mounted(routes=super().mount(container).routes, listeners=[listener])


async def test_a_delivered_event_reaches_its_listener_as_the_caller_who_raised_it(api: ApiClient) -> None:
    async with running([LendingModule()], MemoryStore(), events=RecordedEvents()) as lending:
        caller = lending.as_partner(1)
        await caller.deliver(BookLent(title="Emma"))
        with pytest.raises(RuleError):
            await caller.deliver(BookLent(title="Lost"))
        found = await caller.post(f"{BOOK}/search", {})
        assert [row["title"] for row in found.data] == ["Emma"]  # what failed was taken back
        assert (await lending.as_partner(2).post(f"{BOOK}/search", {})).data == []
    with pytest.raises(LookupError, match="BookLent"):
        await api.as_partner(1).deliver(BookLent(title="Emma"))


async def test_the_data_of_a_problem_is_an_error_that_shows_it(api: ApiClient) -> None:
    refused = await api.as_partner(5).post(BOOK, {"titel": "Typo"})
    with pytest.raises(AssertionError, match="titel"):
        _ = refused.data


async def test_a_call_from_another_event_loop_says_what_to_set(api: ApiClient) -> None:
    def elsewhere() -> None:
        asyncio.run(api.as_partner(6).get(BOOK))

    with pytest.raises(RuntimeError, match="asyncio_default_test_loop_scope"):
        await asyncio.to_thread(elsewhere)
