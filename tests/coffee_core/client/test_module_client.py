"""The typed client against the real server: what it sends is what a module reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeAlias

import httpx2
import pytest

from coffee_core.client.module_client import ModuleClient
from coffee_core.domain.errors import (
    ConflictError,
    InputError,
    NotFoundError,
    PlanError,
    UnauthenticatedError,
    UnavailableError,
    VersionMismatchError,
)
from coffee_core.domain.plan import Plan
from coffee_core.domain.search import Condition, FilterType, all_of, any_of, none_of, path
from coffee_core.http.application import Application
from coffee_core.http.settings import HttpSettings
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.resilience.retry import Backoff
from coffee_core.rest.container import Container
from coffee_core.rest.patch import Patch
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.wire.listen import bind
from tests.coffee_core.rest.sample import TABLE, BookEntity, BookEntry, KeptEvents, connection
from tests.support.serving import served

Books: TypeAlias = ModuleClient[BookEntry, int]
PARTNER = {"x-bb-partner-id": "77", "x-bb-account-id": "1", "x-bb-uid": "1", "x-bb-plan-type": "PAID"}


@pytest.fixture(scope="module")
async def base_url(database_url: str) -> AsyncIterator[str]:
    async with connection(database_url) as raw:
        await raw.execute(TABLE)
    store = PostgresStore(DatabaseSettings(url=database_url))
    container = Container(store=store, events=KeptEvents())
    routes = container.api(container.manager(BookEntry, BookEntity, BookEntity.id), int, "book").routes()
    application = Application(
        {"shelf-service": routes}, settings=HttpSettings(access_log="off"), on_start=[store.open], on_stop=[store.close]
    )
    async with served(application) as url:
        yield url


@pytest.fixture
async def http(base_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=base_url, headers=PARTNER, trust_env=False) as client:
        yield client


@pytest.fixture
def books(http: httpx2.AsyncClient) -> Books:
    return ModuleClient(BookEntry, int, http, "shelf-service", "book")


async def test_a_record_makes_the_round_trip(books: Books) -> None:
    made = await books.create(BookEntry(title="Emma", pages=474, audience={"a": [1, None]}))
    assert made.entry.id is not None
    found = await books.get(made.entry.id)
    assert found == made
    assert (await books.get_many([made.entry.id]))[0] == made.entry
    changed = await books.patch(made.entry.id, Patch(BookEntry, {"pages": None}), etag=found.etag)
    assert (changed.entry.pages, changed.entry.title, changed.etag) == (None, "Emma", '"2"')
    with pytest.raises(VersionMismatchError):
        await books.replace(made.entry.id, changed.entry, etag=found.etag)
    replaced = await books.replace(made.entry.id, BookEntry(title="Emma II"), etag=changed.etag)
    assert (replaced.entry.title, replaced.entry.audience) == ("Emma II", None)
    await books.delete(made.entry.id, etag=replaced.etag)
    with pytest.raises(NotFoundError, match="request "):
        await books.get(made.entry.id)


async def test_filter_expressions_mean_the_same_on_both_sides(books: Books) -> None:
    for number in range(7):
        audience = {"age": {"young": number / 10}}
        await books.create(
            BookEntry(title=f"filter {number}", pages=number, tags=[f"t{number % 2}"], audience=audience)
        )
    mine = Condition(FilterType.LIKE, "title", "filter %")
    where = all_of(
        mine,
        any_of(path(BookEntity.pages).gte(5), path(BookEntity.pages).within([0, 1])),
        none_of(path(BookEntity.pages).between(6, 9)),
        Condition(FilterType.LT, "audience", 0.5, ("age", "young")),
        Condition(FilterType.ARRAY_CONTAINS, "tags", ["t1"]),
    )
    assert [book.pages for book in (await books.search(where)).data] == [1]
    found = [book.pages async for book in books.every(mine, sort_by="pages", descending=True, size=3)]
    assert found == [6, 5, 4, 3, 2, 1, 0]
    page = await books.search(mine, size=2, page=2, sort_by="pages")
    assert ([book.pages for book in page.data], page.total_count) == ([2, 3], 7)
    assert page.status.previous_cursor is None  # it was asked for by number
    first = await books.search(mine, size=2, sort_by="pages")
    second = await books.search(mine, size=2, sort_by="pages", cursor=first.status.next_cursor)
    back = await books.search(mine, size=2, sort_by="pages", cursor=second.status.previous_cursor)
    assert (back.data, first.status.previous_cursor) == (first.data, None)


async def test_problems_come_back_as_the_errors_that_made_them(books: Books, base_url: str) -> None:
    with pytest.raises(InputError) as caught:
        await books.create(BookEntry.model_construct(title="x" * 41))
    assert [error.pointer for error in caught.value.errors] == ["/title"]
    async with httpx2.AsyncClient(base_url=base_url, trust_env=False) as nobody:
        with pytest.raises(UnauthenticatedError):
            await ModuleClient(BookEntry, int, nobody, "shelf-service", "book").get(1)
    headers = {**PARTNER, "x-bb-plan-type": "FREE"}
    async with httpx2.AsyncClient(base_url=base_url, headers=headers, trust_env=False) as free:
        with pytest.raises(PlanError):
            await ModuleClient(BookEntry, int, free, "shelf-service", "book").search(sort_by="email")


async def test_a_service_that_is_not_there_is_tried_again_and_then_unavailable() -> None:
    sock = bind()[0]
    port = sock.getsockname()[1]
    sock.close()
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as nowhere:
        books = ModuleClient(BookEntry, int, nowhere, "s", "book", backoff=Backoff(attempts=2, first_seconds=0.01))
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await books.get(1)


async def test_a_version_that_is_known_does_not_come_again(books: Books, http: httpx2.AsyncClient) -> None:
    made = await books.create(BookEntry(title="Known"))
    assert made.entry.id is not None
    statuses: list[int] = []

    async def note(response: httpx2.Response) -> None:
        statuses.append(response.status_code)

    http.event_hooks["response"].append(note)
    assert await books.get(made.entry.id, known=made) is made
    changed = await books.patch(made.entry.id, Patch(BookEntry, {"pages": 5}), etag=made.etag)
    assert (await books.get(made.entry.id, known=made)).entry.pages == 5
    assert (await books.get(made.entry.id, known=changed)) is changed
    assert statuses == [304, 200, 200, 304]


async def test_many_writes_go_at_once_together_or_each_on_its_own(books: Books) -> None:
    first = (await books.create(BookEntry(title="Bulk 0"))).entry.id
    assert first is not None
    results = await books.bulk(
        create=[BookEntry(title="Bulk 1"), BookEntry(title="Bulk 2")],
        update={first: Patch(BookEntry, {"pages": 1})},
        delete=[first],
    )
    assert [(each.operation, each.status) for each in results] == [
        ("create", "created"),
        ("create", "created"),
        ("update", "updated"),
        ("delete", "deleted"),
    ]
    with pytest.raises(ConflictError):
        await books.bulk(create=[BookEntry(title="Bulk 3"), BookEntry(title="Bulk 1")])
    mine = Condition(FilterType.LIKE, "title", "Bulk %")
    assert (await books.search(mine)).total_count == 2
    results = await books.bulk(create=[BookEntry(title="Bulk 3"), BookEntry(title="Bulk 1")], atomic=False)
    assert [each.status for each in results] == ["created", "refused"]
    assert results[1].problem is not None
    assert results[1].problem.kind == "conflict"


async def test_everything_is_exported_from_one_snapshot(books: Books) -> None:
    await books.bulk(create=[BookEntry(title=f"Export {n}", pages=n, audience={"n": n}) for n in range(150)])
    mine = Condition(FilterType.LIKE, "title", "Export %")
    found = [book async for book in books.export(mine, sort_by="pages", descending=True)]
    assert [book.pages for book in found] == list(range(149, -1, -1))
    assert found[0].audience == {"n": 149}
    assert [book.title async for book in books.export(path(BookEntity.title).eq("Export 7"), fields=["title"])] == [
        "Export 7"
    ]


async def test_a_client_knows_what_the_plan_hides(books: Books, base_url: str) -> None:
    made = await books.create(BookEntry(title="Gated", email="a@example.com", audience={"x": 1}))
    assert made.entry.id is not None
    assert made.locked == frozenset()
    async with httpx2.AsyncClient(
        base_url=base_url, headers={**PARTNER, "x-bb-plan-type": "FREE"}, trust_env=False
    ) as http:
        free = ModuleClient(BookEntry, int, http, "shelf-service", "book")
        assert free.gates == {"audience": Plan.SAAS, "email": Plan.SAAS}
        found = await free.get(made.entry.id)
        assert (found.entry.title, found.entry.email, found.locked) == ("Gated", None, {"audience", "email"})
        page = await free.search(Condition(FilterType.EQ, "title", "Gated"))
        assert free.locked(page) == {"audience", "email"}
        assert [book.email async for book in free.export(Condition(FilterType.EQ, "title", "Gated"))] == [None]


async def test_only_the_fields_that_are_asked_for_come(books: Books) -> None:
    made = await books.create(BookEntry(title="Part", pages=3, tags=["x"]))
    assert made.entry.id is not None
    part = (await books.get(made.entry.id, fields=["pages"])).entry
    assert part.model_fields_set == {"pages"}
    assert part.pages == 3
    (part,) = (await books.search(Condition(FilterType.EQ, "title", "Part"), fields=["id", "tags"])).data
    assert (part.id, part.tags) == (made.entry.id, ["x"])
