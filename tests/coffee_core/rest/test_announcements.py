"""A Manager that tells of its records does so after they are stored, and its writes are one statement as before."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from coffee_core.domain.context import RequestContext
from coffee_core.domain.errors import RuleError
from coffee_core.domain.event import Delivery, Event, EventSink
from coffee_core.domain.plan import Plan
from coffee_core.messaging.events import EventBus
from coffee_core.persistence.unit_of_work import acting_as, begin_transaction
from coffee_core.rest.announcing import Change
from coffee_core.rest.api import Api, ApiOptions
from coffee_core.rest.container import Container
from coffee_core.rest.dao import Dao
from coffee_core.rest.fields import gates_of
from coffee_core.rest.manager import Manager
from coffee_core.rest.patch import Patch
from coffee_core.rest.rows import Projection, Rows
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.testing.events import RecordedEvents
from tests.coffee_core.messaging.sample import KeptMessages
from tests.coffee_core.rest.conftest import Caller
from tests.coffee_core.rest.sample import BookEntity, BookEntry


class BookWritten(Event):
    topic = "shelf.dx___books_q"
    type = "book_written"

    change: str
    title: str


class TellingManager(Manager[BookEntry, BookEntity, int]):
    def announces(self, change: Change, entry: BookEntry) -> Event | None:
        if entry.title == "secret":
            return None
        return BookWritten(change=change, title=entry.title if entry.title != "cursed" else 1 / 0)  # type: ignore[arg-type]


class RuledManager(TellingManager):
    """With a rule of its own: its records are written one by one, or looked at one by one."""

    async def on_create(self, entry: BookEntry) -> None:
        entry.pages = entry.pages or 1


class OwnWayManager(TellingManager):
    """Has a say of its own in how events go out."""

    def raise_event(self, event: Event, delivery: Delivery = Delivery.AFTER_COMMIT) -> None:
        assert isinstance(event, BookWritten)
        super().raise_event(BookWritten(change=event.change, title=f"{event.title}, raised"), delivery)


class BuildingManager(TellingManager):
    """Makes what it answers itself."""

    def to_entry(self, entity: BookEntity) -> BookEntry:
        return super().to_entry(entity)


class ShelfDao(Dao[BookEntity, int]):
    """Sees new rows one by one."""

    async def insert(self, values: Mapping[str, object], projection: Projection | None = None) -> Rows[BookEntity]:
        return await super().insert(values, projection)


WAYS = [
    pytest.param(TellingManager, Dao, id="one statement"),
    pytest.param(BuildingManager, Dao, id="answers of its own"),
    pytest.param(RuledManager, Dao, id="a rule"),
    pytest.param(TellingManager, ShelfDao, id="rows one by one"),
]


def telling(
    container: Container,
    told: EventSink,
    kind: type[TellingManager] = TellingManager,
    dao: type[Dao[BookEntity, int]] = Dao,
) -> Api[BookEntry, BookEntity, int]:
    made = dao(
        BookEntity, BookEntity.id, container.store.provider(BookEntity, BookEntity.id), gates=gates_of(BookEntry)
    )
    options = ApiOptions(natural_key=("partner_id", "title"))
    return container.api(kind(BookEntry, made, events=told), int, "book", options=options)


def what(told: RecordedEvents) -> list[tuple[str, str]]:
    events = [raised.event for raised in told.raised]
    return [(event.change, event.title) for event in events if isinstance(event, BookWritten)]


async def test_each_write_is_told_with_the_record_as_it_is_stored(container: Container, caller: Caller) -> None:
    told = RecordedEvents()
    books = telling(container, told)
    made = await caller.json(books.create, {"title": "one"})
    await caller.call(books.patch, {"title": "two"}, id=made["data"][0]["id"])
    await caller.call(books.create, {"title": "secret"})
    assert what(told) == [("created", "one"), ("updated", "two")]


@pytest.mark.parametrize("plan", list(Plan))
async def test_a_record_is_shown_as_it_is_answered_whoever_maps_it(
    container: Container, caller: Caller, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With documents as values, what the plan hides hidden, and no Entity made where nobody asks for one."""
    shown: dict[type[TellingManager], list[BookEntry]] = {TellingManager: [], BuildingManager: []}

    def look(self: TellingManager, change: Change, entry: BookEntry) -> None:
        shown[type(self)].append(entry)

    monkeypatch.setattr(TellingManager, "announces", look)
    apis = {kind: telling(container, RecordedEvents(), kind) for kind in shown}
    context = RequestContext(request_id="r", partner_id=caller.partner, plan=Plan.PAID)
    async with acting_as(context):
        entry = BookEntry(title="shown", tags=["a"], audience={"f": [1, {"g": None}]}, email="a@example.com", price=0.5)
        page = await apis[TellingManager].manager.create(entry)
    changing = RequestContext(request_id="r", partner_id=caller.partner, plan=plan)
    async with acting_as(changing):
        for kind, api in apis.items():
            answered = await api.manager.patch(int(str(page.key)), Patch(BookEntry, {"pages": 7}), None)
            (last,) = answered.entries()
            assert shown[kind][-1] == last
    one, other = shown[TellingManager][-1], shown[BuildingManager][-1]
    assert vars(one) == vars(other)
    assert one.model_fields_set == other.model_fields_set
    assert one.audience == ({"f": [1, {"g": None}]} if plan >= Plan.SAAS else None)
    assert one.model_dump_json() == other.model_dump_json()


async def test_what_is_told_of_a_record_opens_no_transaction(
    container: Container, store: PostgresStore, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = RecordedEvents()
    manager = telling(container, told).manager

    def refuse(_: object) -> None:
        raise AssertionError("a transaction was begun")

    monkeypatch.setattr(store.pool, "begin", refuse)
    context = RequestContext(request_id="r", partner_id=caller.partner, plan=Plan.PAID)
    async with acting_as(context):
        made = await manager.create(BookEntry(title="alone"))
        await manager.patch(int(str(made.key)), Patch(BookEntry, {"pages": 3}), None)
        assert what(told) == []  # nothing goes out before the end
    assert what(told) == [("created", "alone"), ("updated", "alone")]


async def test_through_the_bus_a_record_is_told_of_as_its_writer_and_a_transaction_when_it_is_stored(
    container: Container, caller: Caller
) -> None:
    broker = KeptMessages()
    bus = EventBus(broker)
    manager = telling(container, bus).manager
    await bus.start()
    contexts = [RequestContext(request_id=f"r{n}", partner_id=caller.partner, plan=Plan.PAID) for n in range(3)]
    async with acting_as(contexts[0]):
        made = await manager.create(BookEntry(title="alone"))
    async with acting_as(contexts[1]):
        begin_transaction()
        await manager.patch(int(str(made.key)), Patch(BookEntry, {"pages": 3}), None)
        await manager.create(BookEntry(title="together"))
        assert len(broker.published) + bus.waiting == 1
    with pytest.raises(ZeroDivisionError):
        async with acting_as(contexts[2]):
            begin_transaction()
            await manager.create(BookEntry(title="undone"))
            raise ZeroDivisionError
    await bus.close()
    told = [(message.headers["x-bb-requestid"], json.loads(message.body)["title"]) for message in broker.published]
    assert told == [("r0", "alone"), ("r1", "alone"), ("r1", "together")]


async def test_a_manager_that_raises_events_its_own_way_does_so_for_what_it_announces(
    container: Container, caller: Caller
) -> None:
    broker = KeptMessages()
    bus = EventBus(broker)
    manager = telling(container, bus, OwnWayManager).manager
    await bus.start()
    async with acting_as(RequestContext(request_id="r", partner_id=caller.partner, plan=Plan.PAID)):
        made = await manager.create(BookEntry(title="one"))
        await manager.patch(int(str(made.key)), Patch(BookEntry, {"title": "two"}), None)
    await bus.close()
    assert [json.loads(message.body)["title"] for message in broker.published] == ["one, raised", "two, raised"]


async def test_a_dry_run_tells_nothing(container: Container, caller: Caller) -> None:
    told = RecordedEvents()
    books = telling(container, told)
    route = next(route for route in books.routes() if route.name == "book_create")
    answer = await caller.call(route.handler, {"title": "as if"}, query="dryRun=true")
    assert answer.status == 201
    assert what(told) == []


async def test_an_event_that_cannot_be_made_is_no_failure_of_the_write(
    container: Container, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    told = RecordedEvents()
    books = telling(container, told)
    made = await caller.call(books.create, {"title": "cursed"})
    assert made.status == 201
    assert what(told) == []
    assert "an event could not be made" in caplog.text


@pytest.mark.parametrize(("kind", "dao"), WAYS)
async def test_each_record_of_a_bulk_is_told_as_a_single_write_is(
    container: Container, caller: Caller, kind: type[TellingManager], dao: type[Dao[BookEntity, int]]
) -> None:
    told = RecordedEvents()
    books = telling(container, told, kind, dao)
    new = [{"title": title} for title in ("a", "b", "secret")]
    made = await caller.json(books.transfer.bulk, {"create": new})
    assert what(told) == [("created", "a"), ("created", "b")]
    told.raised.clear()
    same, changed = {"title": "b", "pages": 1}, {"title": "a", "pages": 7}
    await caller.json(books.transfer.bulk, {"upsert": [same]})
    told.raised.clear()
    body = {"upsert": [{"title": "c"}, same, changed], "update": [{"id": made["data"][1]["id"], "price": 2.5}]}
    await caller.json(books.transfer.bulk, body)
    assert what(told) == [("created", "c"), ("updated", "a"), ("updated", "b")]


@pytest.mark.parametrize(("kind", "dao"), WAYS)
@pytest.mark.parametrize("query", ["format=csv", "format=ndjson"])
async def test_each_record_of_an_import_is_told_in_the_order_of_the_file(
    container: Container, caller: Caller, kind: type[TellingManager], dao: type[Dao[BookEntity, int]], query: str
) -> None:
    told = RecordedEvents()
    books = telling(container, told, kind, dao)
    rows = [("b", 2), ("forbidden", 1), ("a", 1), ("a", 3), ("secret", 1)]
    lines = [f"{title},{pages}" for title, pages in rows]
    if query == "format=ndjson":
        lines = [json.dumps({"title": title, "pages": pages}) for title, pages in rows]
    else:
        lines.insert(0, "title,pages")
    again = "\n".join([*lines[:-1], lines[-1].replace("secret", "c")]).encode()
    await caller.json(books.transfer.import_, raw="\n".join(lines).encode(), query=query)
    assert what(told) == [("created", "b"), ("created", "a")]
    told.raised.clear()
    await caller.json(books.transfer.import_, raw=again, query=query)
    assert what(told) == [("created", "c")]  # the others are unchanged


@pytest.mark.parametrize(("kind", "dao"), WAYS)
async def test_what_is_rolled_back_or_refused_is_not_told(
    container: Container, caller: Caller, kind: type[TellingManager], dao: type[Dao[BookEntity, int]]
) -> None:
    told = RecordedEvents()
    books = telling(container, told, kind, dao)
    mixed = [{"title": title} for title in ("a", "forbidden", "b")]
    with pytest.raises(RuleError):
        await caller.call(books.transfer.bulk, {"create": mixed})
    with pytest.raises(RuleError):
        await caller.call(books.transfer.bulk, {"upsert": mixed})
    route = next(route for route in books.routes() if route.path.endswith("/import"))
    await caller.call(route.handler, raw=b"title\na\n", query="dryRun=true")
    assert what(told) == []
    await caller.call(books.transfer.bulk, {"create": mixed}, query="atomic=false")
    assert what(told) == [("created", "a"), ("created", "b")]


async def test_a_record_that_is_replaced_hidden_or_brought_back_is_told_as_it_is_then(
    container: Container, caller: Caller
) -> None:
    told = RecordedEvents()
    books = telling(container, told)
    id = (await caller.json(books.create, {"title": "one"}))["data"][0]["id"]
    await caller.call(books.replace, {"title": "two"}, id=id)
    await caller.call(books.delete, id=id)
    await caller.call(books.restore, id=id)
    await caller.call(books.delete, id=id)
    await caller.call(books.transfer.import_, raw=b"title\ntwo\n", query="format=csv")
    assert what(told) == [("created", "one"), ("updated", "two"), ("updated", "two"), ("updated", "two")]
