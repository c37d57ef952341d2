"""A partner's activity: posted, announced by others, searched, forgotten in the end."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from coffee_core.domain.context import RequestContext
from coffee_core.domain.errors import InputError, UnauthenticatedError
from coffee_core.domain.plan import Plan
from coffee_core.messaging.broker import Arrived, Dead, Done
from coffee_core.messaging.inbox import PostgresInbox
from coffee_core.messaging.listeners import Dispatch
from coffee_core.messaging.message import Message, message_of
from coffee_core.messaging.middleware.chain import Parts
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.messaging.topic import parse_topic
from coffee_core.persistence.migrations.runner import History, upgrade
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.container import Container, Mounted
from coffee_core.rest.settings import RestSettings
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.testing.events import RecordedEvents
from coffee_core.wire.message import BufferedBody, Request
from modules.activity.events import ActivityEvent
from modules.activity.module import ACTIVITY
from modules.profile_collection.events import CollectionActivity

PARTNERS = itertools.count(9000)
A_SEARCH = {
    "title": "Cooks in Pune", "activityType": "DISCOVERY", "params": {"page": 1},
    "filters": {"city": ["Pune"], "followers": {"gte": 10_000}}, "resultCount": 214, "platform": "INSTAGRAM",
}  # fmt: skip


class Desk:
    """The module on a real database, and callers of a partner."""

    def __init__(self, store: PostgresStore, mounted: Mounted) -> None:
        self.store = store
        self.mounted = mounted
        self.partner = next(PARTNERS)
        parts = Parts(inbox=PostgresInbox(store.pool), settings=MessagingSettings(retry_seconds=0.001))
        (listener,) = mounted.listeners
        self.dispatch = Dispatch(parse_topic(listener.topic), [listener], parts)

    def caller(self, partner: int | None = None) -> RequestContext:
        return RequestContext(request_id="r", partner_id=partner or self.partner, user_id=5, plan=Plan.FREE)

    async def call(self, path: str, body: object, query: str = "", partner: int | None = None) -> dict[str, Any]:
        route = next(one for one in self.mounted.routes if one.path.rstrip("/") == f"/api/activity{path}")
        request = Request("POST", path, query.encode(), {}, BufferedBody(orjson.dumps(body)))
        async with acting_as(self.caller(partner)):
            answer = await route.handler(request)
        found: dict[str, Any] = orjson.loads(answer.body)
        return found

    async def all(
        self, partner: int | None = None, query: str = "sortBy=createdAt&sortDir=DESC"
    ) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.call("/search", {"filters": []}, query, partner))["data"]
        return found

    async def arrives(self, message: Message) -> object:
        return await self.dispatch(Arrived(message.headers, message.body, 1))


@pytest.fixture(scope="module")
async def mounted(database_url: str) -> AsyncIterator[tuple[PostgresStore, Mounted]]:
    histories = [
        History("coffee", "coffee_core.messaging.migrations"),
        History("activity", "modules.activity.migrations"),
    ]
    await upgrade(database_url, histories, lambda _: None)
    store = PostgresStore(DatabaseSettings(url=SecretStr(database_url)))
    await store.open()
    container = Container(store=store, events=RecordedEvents(), rest=RestSettings(cursor_key=SecretStr("k" * 32)))
    yield store, ACTIVITY.mount(container)
    await store.close()


@pytest.fixture
def desk(mounted: tuple[PostgresStore, Mounted]) -> Desk:
    return Desk(*mounted)


async def test_what_is_posted_is_found_again_newest_first(desk: Desk) -> None:
    first = (await desk.call("", A_SEARCH))["data"][0]
    await desk.call("", {**A_SEARCH, "title": "Cooks in Goa"})
    assert {name: first[name] for name in A_SEARCH} == A_SEARCH
    assert first["createdBy"] == 5
    assert [one["title"] for one in await desk.all()] == ["Cooks in Goa", "Cooks in Pune"]


async def test_activity_of_another_partner_does_not_exist(desk: Desk) -> None:
    await desk.call("", A_SEARCH)
    assert await desk.all(partner=next(PARTNERS)) == []


@pytest.mark.parametrize(
    "spoil",
    [{"title": ""}, {"activityType": "lower case"}, {"params": []}, {"resultCount": -1}, {"partnerId": 7}],
    ids=str,
)
async def test_what_is_no_activity_is_refused(desk: Desk, spoil: dict[str, object]) -> None:
    with pytest.raises(InputError):
        await desk.call("", {**A_SEARCH, **spoil})
    assert await desk.all() == []


async def test_what_another_module_announces_becomes_activity_of_its_caller_once(desk: Desk) -> None:
    """The event is the other module's own class: what joins the two is the wire."""
    event = CollectionActivity(title="Summer cooks", activity_type="PROFILE_COLLECTION", params={"collectionId": 3})
    message = message_of(event, desk.caller())
    assert [await desk.arrives(message), await desk.arrives(message)] == [Done(), Done()]
    (kept,) = await desk.all()
    assert (kept["title"], kept["activityType"], kept["params"]) == (
        "Summer cooks", "PROFILE_COLLECTION", {"collectionId": 3},
    )  # fmt: skip
    assert kept["createdBy"] == 5


async def test_whose_it_is_says_the_context_and_never_the_body(desk: Desk) -> None:
    message = message_of(ActivityEvent(title="x", activity_type="DISCOVERY"), desk.caller())
    other = next(PARTNERS)
    forged = message.body[:-1] + f',"partnerId":{other},"partner_id":{other}}}'.encode()
    assert await desk.dispatch(Arrived(message.headers, forged, 1)) == Done()
    assert await desk.all(partner=other) == []
    assert len(await desk.all()) == 1


@pytest.mark.parametrize("spoil", [{"title": ""}, {"activity_type": "no such thing"}], ids=str)
async def test_an_event_that_is_no_activity_becomes_a_dead_letter_that_names_the_field(
    desk: Desk, spoil: dict[str, str]
) -> None:
    event = ActivityEvent.model_validate({"title": "x", "activity_type": "DISCOVERY", **spoil})
    outcome = await desk.arrives(message_of(event, desk.caller()))
    assert isinstance(outcome, Dead)
    assert next(iter(spoil)) in outcome.error
    assert await desk.all() == []


async def test_an_event_of_nobody_becomes_a_dead_letter(desk: Desk) -> None:
    event = ActivityEvent(title="x", activity_type="DISCOVERY")
    outcome = await desk.arrives(message_of(event, RequestContext(request_id="r")))
    assert isinstance(outcome, Dead)
    assert UnauthenticatedError.__name__ in outcome.error


async def test_activity_is_forgotten_after_its_days_whoever_it_belongs_to(desk: Desk) -> None:
    for title in ("old", "new"):
        await desk.call("", {**A_SEARCH, "title": title})
    connection = await desk.store.pool.take()
    await connection.raw.execute(
        "UPDATE activity.activity SET created_at = now() - interval '400 days' WHERE partner_id = $1 AND title = 'old'",
        desk.partner,
    )
    desk.store.pool.give(connection)
    (job,) = desk.mounted.jobs
    async with acting_as(RequestContext(request_id="j", partner_id=0, plan=Plan.PAID)):
        await job.run()
    assert [one["title"] for one in await desk.all()] == ["new"]


async def test_only_searching_and_posting_are_offered(desk: Desk) -> None:
    assert sorted((route.method, route.path.rstrip("/")) for route in desk.mounted.routes) == [
        ("POST", "/api/activity"), ("POST", "/api/activity/search"),
    ]  # fmt: skip
