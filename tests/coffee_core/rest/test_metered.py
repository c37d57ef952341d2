"""What a metered route answers, counts and tells beforehand: on PostgreSQL, behind the pipeline."""

from __future__ import annotations

import itertools
import uuid

import orjson
import pytest

from coffee_core.domain.errors import RuleError
from coffee_core.http.application import Application
from coffee_core.http.openapi.document import document
from coffee_core.metering.declare import Metered
from coffee_core.metering.grants import FixedGrants
from coffee_core.metering.meter import Meter
from coffee_core.metering.postgres import PostgresLedger
from coffee_core.persistence.idempotency import PostgresIdempotency
from coffee_core.persistence.migrations.runner import History, upgrade
from coffee_core.rest.api import Api, ApiOptions
from coffee_core.rest.container import Container
from coffee_core.rest.idempotency import Idempotency
from coffee_core.rest.metered import finished
from coffee_core.rest.route import Route
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.wire.message import BufferedBody, Request, Response
from tests.coffee_core.http.rig import application, header, problem
from tests.coffee_core.metering.tables import TABLES, make_tables
from tests.coffee_core.rest.sample import BookEntity, BookEntry, KeptEvents, connection

PARTNERS = itertools.count(8_000_000)
BOOK = "/thing-service/api/book"
LIMITS = {"DISCOVERY": 3, "CAMPAIGN_REPORT": 10, "PROFILE_PAGE": 2}


class Shop:
    """The sample resource with counted operations, and a caller of a partner of his own."""

    def __init__(self, store: PostgresStore) -> None:
        self.url = store.pool.url
        self.partner = next(PARTNERS)
        self.grants = FixedGrants(LIMITS)
        self.done: list[str] = []
        container = Container(store=store, events=KeptEvents())
        ledger = PostgresLedger(store.pool, TABLES)
        self.meter = Meter(ledger, self.grants, recorded=("DISCOVERY", "TOPIC_RESEARCH"))
        container.meet(Meter, self.meter)
        options = ApiOptions(metered={"search": Metered("DISCOVERY"), "create": Metered("CAMPAIGN_REPORT", cost=4)})
        self.api: Api[BookEntry, BookEntity, int] = container.api(
            container.manager(BookEntry, BookEntity, BookEntity.id), int, "book", options=options
        )
        page = Route(
            method="GET", path="/api/page/{id}", handler=self.page, name="page", summary="",
            metered=Metered("PROFILE_PAGE", by="handler"),
        )  # fmt: skip
        repeatable = Idempotency(PostgresIdempotency(store.pool))
        routes = finished([*self.api.routes(), page], container, repeatable.route)
        self.app: Application = application(*routes)

    async def page(self, request: Request) -> Response:
        id = request.path_params["id"]
        self.done.append(f"read {id}")
        if id == "missing":
            raise RuleError("there is no such page")
        await self.meter.use("PROFILE_PAGE", once=id)
        self.done.append(f"made {id}")
        if id == "breaks":
            raise RuleError("the page could not be made")
        return Response(200, b'{"data":[{}]}')

    async def call(self, method: str, path: str, body: object = None, key: str | None = None) -> Response:
        headers = {b"x-bb-partner-id": b"%d" % self.partner, b"x-bb-account-id": b"1", b"x-bb-uid": b"5"}
        headers |= {b"x-bb-plan-type": b"PAID"}
        if key is not None:
            headers[b"idempotency-key"] = key.encode()
        where, _, query = path.partition("?")
        raw = b"" if body is None else orjson.dumps(body)
        request = Request(method, where, query.encode(), headers, BufferedBody(raw), client="203.0.113.9")
        return await self.app.handler(request)

    async def search(self, title: str | None = None, query: str = "") -> Response:
        body = {"filters": [] if title is None else [{"filterType": "EQ", "field": "title", "value": title}]}
        return await self.call("POST", f"{BOOK}/search{query}", body)

    async def create(self, title: str, query: str = "", key: str | None = None) -> Response:
        return await self.call("POST", BOOK + query, {"title": title}, key)

    async def consumed(self, namespace: str) -> int:
        async with connection(self.url) as raw:
            found = await raw.fetchval(
                f"SELECT consumed FROM {TABLES.counters} WHERE partner_id = $1 AND namespace = $2",
                self.partner,
                namespace,
            )
        return int(found or 0)

    async def activities(self) -> list[str]:
        async with connection(self.url) as raw:
            rows = await raw.fetch(
                f"SELECT type FROM {TABLES.activities} WHERE partner_id = $1 ORDER BY id", self.partner
            )
        return [str(row[0]) for row in rows]


def usage(response: Response) -> tuple[bytes | None, bytes | None]:
    return header(response, b"usage-cost"), header(response, b"usage-remaining")


@pytest.fixture
async def shop(store: PostgresStore) -> Shop:
    await make_tables(store.pool.url)
    await upgrade(store.pool.url, [History("coffee", "coffee_core.messaging.migrations")], lambda _: None)
    return Shop(store)


async def test_an_answer_tells_what_it_came_to(shop: Shop) -> None:
    created = await shop.create("Emma")
    assert (created.status, usage(created)) == (201, (b"4", b"6"))
    found = await shop.search()
    assert (found.status, usage(found)) == (200, (b"1", b"2"))
    reset = header(found, b"usage-reset")
    assert reset is not None
    assert reset.endswith(b"-01T00:00:00Z")  # the calendar's months
    assert (await shop.consumed("CAMPAIGN_REPORT"), await shop.consumed("DISCOVERY")) == (4, 1)


async def test_an_empty_answer_is_free(shop: Shop) -> None:
    assert usage(await shop.search("Persuasion")) == (b"0", b"3")
    assert await shop.consumed("DISCOVERY") == 0
    assert await shop.activities() == []


async def test_a_failed_answer_is_free(shop: Shop) -> None:
    assert (await shop.create("Emma")).status == 201
    taken = await shop.create("Emma")
    assert (taken.status, usage(taken)) == (409, (None, None))
    assert (await shop.call("POST", BOOK, {"titel": "Emma"})).status == 400
    assert await shop.consumed("CAMPAIGN_REPORT") == 4


async def test_over_the_limit_it_is_429_with_the_reset_and_the_work_is_not_done(shop: Shop) -> None:
    assert [(await shop.create(title)).status for title in ("Emma", "Persuasion", "Lady Susan")] == [201, 201, 429]
    refused = await shop.create("Lady Susan")
    assert problem(refused)["type"] == "urn:coffee:problem:usage-limit"
    assert "8 of 10 are used in this period; it ends at 20" in problem(refused)["detail"]
    assert header(refused, b"usage-remaining") == b"2"
    assert (header(refused, b"usage-reset") or b"").endswith(b"-01T00:00:00Z")
    assert 0 < int(header(refused, b"retry-after") or 0) <= 31 * 86_400
    assert await shop.consumed("CAMPAIGN_REPORT") == 8
    assert orjson.loads((await shop.search()).body)["count"] == 2


async def test_what_was_not_bought_is_402(shop: Shop) -> None:
    del shop.grants.limits["DISCOVERY"]
    refused = await shop.search()
    assert (refused.status, problem(refused)["detail"]) == (402, "what you have bought does not include DISCOVERY")


async def test_a_raised_limit_counts_at_once_and_a_lowered_one_after_its_time(shop: Shop) -> None:
    await shop.create("Emma")
    assert [(await shop.search()).status for _ in range(4)] == [200, 200, 200, 429]
    shop.grants.limits["DISCOVERY"] = 4
    assert [(await shop.search()).status for _ in range(2)] == [200, 429]


async def test_a_repeated_request_is_billed_once(shop: Shop) -> None:
    key = f'"{uuid.uuid4()}"'
    first, again = [await shop.create("Emma", key=key) for _ in range(2)]
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert (usage(first), usage(again)) == ((b"4", b"6"), (None, None))
    assert header(again, b"idempotent-replayed") == b"true"
    assert await shop.consumed("CAMPAIGN_REPORT") == 4


async def test_a_search_that_costs_something_is_repeatable_too(shop: Shop) -> None:
    await shop.create("Emma")
    key = f'"{uuid.uuid4()}"'
    first, again = [await shop.call("POST", f"{BOOK}/search", {"filters": []}, key) for _ in range(2)]
    assert (first.status, again.body, usage(first), usage(again)) == (200, first.body, (b"1", b"2"), (None, None))
    assert await shop.consumed("DISCOVERY") == 1


async def test_asking_for_the_cost_does_nothing_and_counts_nothing(shop: Shop) -> None:
    key = f'"{uuid.uuid4()}"'
    told = await shop.create("Emma", "?dryRun=cost", key)
    assert (told.status, usage(told)) == (200, (b"4", b"10"))
    record = orjson.loads(told.body)["data"][0]
    assert {name: record[name] for name in ("namespace", "cost", "limit", "consumed", "remaining")} == {
        "namespace": "CAMPAIGN_REPORT", "cost": 4, "limit": 10, "consumed": 0, "remaining": 10,
    }  # fmt: skip
    assert await shop.consumed("CAMPAIGN_REPORT") == 0
    assert orjson.loads((await shop.search()).body)["count"] == 0
    assert (await shop.create("Emma", key=key)).status == 201  # the key was not used up


async def test_the_cost_is_told_when_all_is_used_up(shop: Shop) -> None:
    await shop.create("Emma")
    for _ in range(3):
        await shop.search()
    assert usage(await shop.search(query="?dryRun=cost")) == (b"1", b"0")


async def test_a_rehearsed_write_is_free(shop: Shop) -> None:
    rehearsed = await shop.create("Emma", "?dryRun=true")
    assert (rehearsed.status, usage(rehearsed)) == (201, (b"0", b"10"))
    assert await shop.consumed("CAMPAIGN_REPORT") == 0


@pytest.mark.parametrize("query", ["?dryRun=price", "?dryRun=cost&dryRun=cost", "?dryrun=cost"])
async def test_another_dry_run_is_refused(shop: Shop, query: str) -> None:
    assert (await shop.search(query=query)).status == 400
    assert await shop.consumed("DISCOVERY") == 0


async def test_a_page_seen_again_costs_nothing(shop: Shop) -> None:
    answers = [await shop.call("GET", f"/thing-service/api/page/{id}") for id in ("a", "b", "a", "c", "b")]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 200]
    assert [usage(answer) for answer in answers if answer.status == 200] == [
        (b"1", b"1"), (b"1", b"0"), (b"0", b"0"), (b"0", b"0"),
    ]  # fmt: skip
    assert await shop.consumed("PROFILE_PAGE") == 2


async def test_a_handler_that_counts_itself_fails_for_free(shop: Shop) -> None:
    for id in ("missing", "breaks"):
        assert (await shop.call("GET", f"/thing-service/api/page/{id}")).status == 422
    assert await shop.consumed("PROFILE_PAGE") == 0
    assert usage(await shop.call("GET", "/thing-service/api/page/breaks?dryRun=cost")) == (b"1", b"2")


async def test_dry_work_ends_where_it_would_be_counted(shop: Shop) -> None:
    assert usage(await shop.call("GET", "/thing-service/api/page/a?dryRun=cost")) == (b"1", b"2")
    assert shop.done == ["read a"]
    await shop.call("GET", "/thing-service/api/page/a")
    assert usage(await shop.call("GET", "/thing-service/api/page/a?dryRun=cost")) == (b"0", b"1")
    assert (await shop.call("GET", "/thing-service/api/page/missing?dryRun=cost")).status == 422
    assert await shop.consumed("PROFILE_PAGE") == 1


async def test_activity_is_recorded_with_the_use(shop: Shop) -> None:
    await shop.create("Emma")
    await shop.search()
    await shop.call("GET", "/thing-service/api/page/a")
    assert await shop.activities() == ["DISCOVERY"]


async def test_the_api_description_knows_what_is_counted(shop: Shop) -> None:
    described = document(shop.app.router.mounts)["paths"]
    search, get = described[f"{BOOK}/search"]["post"], described[f"{BOOK}/{{id}}"]["get"]
    assert search["x-coffee-metered"] == {"namespace": "DISCOVERY", "cost": 1}
    assert set(search["responses"]["200"]["headers"]) >= {"usage-cost", "usage-remaining", "usage-reset"}
    assert {"402", "429"} <= set(search["responses"])
    dry = next(each for each in search["parameters"] if each["name"] == "dryRun")
    assert "cost" in dry["schema"]["enum"]
    assert "x-coffee-metered" not in get
    assert "usage-cost" not in get["responses"]["200"]["headers"]
    page = described["/thing-service/api/page/{id}"]["get"]
    assert page["x-coffee-metered"] == {"namespace": "PROFILE_PAGE"}
