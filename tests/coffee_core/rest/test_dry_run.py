"""`dryRun=true` on every write: everything is done and checked, the answer is as if, and nothing is left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from coffee_core.domain.context import RequestContext
from coffee_core.domain.errors import ConflictError, InputError, PlanError, RuleError, VersionMismatchError
from coffee_core.domain.event import Delivery, Event
from coffee_core.domain.plan import Plan
from coffee_core.messaging.tables import FRAMEWORK
from coffee_core.persistence.idempotency import PostgresIdempotency
from coffee_core.persistence.migrations import runner
from coffee_core.persistence.serializable import serializable
from coffee_core.persistence.unit_of_work import acting_as, begin_transaction, current_work
from coffee_core.rest.api import Api, ApiOptions
from coffee_core.rest.container import Container
from coffee_core.rest.dry_run import MESSAGE, dry_runnable
from coffee_core.rest.idempotency import Idempotency
from coffee_core.rest.manager import Manager
from coffee_core.rest.route import Route
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.wire.message import BufferedBody, Request, Response
from tests.coffee_core.rest.conftest import Caller
from tests.coffee_core.rest.sample import BookEntity, BookEntry, connection

DEFERRED = """
CREATE TABLE IF NOT EXISTS shelf.author (id bigint PRIMARY KEY);
CREATE TABLE IF NOT EXISTS shelf.written (author bigint NOT NULL REFERENCES shelf.author DEFERRABLE INITIALLY DEFERRED);
"""


class Told(Event):
    topic = "shelf___books"
    type = "told"
    title: str


class Telling(Manager[BookEntry, BookEntity, int]):
    """Has a rule, a hook, an event and a step before the commit."""

    seen: list[str]

    async def on_create(self, entry: BookEntry) -> None:
        if entry.title == "ruled out":
            raise RuleError("this book is ruled out")

    async def created(self, entry: BookEntry) -> None:
        self.seen.append(f"created {entry.title}")
        self.raise_event(Told(title=entry.title))
        current_work().before_commit.append(self._before)

    async def _before(self) -> None:
        self.seen.append("before the commit")


class AfterCommit:
    """An event sink with the bus's promise: out with the commit, or not at all."""

    def __init__(self) -> None:
        self.out: list[Event] = []

    def raise_event(self, event: Event, delivery: Delivery = Delivery.AFTER_COMMIT) -> None:
        async def go() -> None:
            self.out.append(event)

        current_work().after_commit(go)


class Rig:
    """The routes as they are mounted, called as a partner of the test's own."""

    def __init__(self, api: Api[BookEntry, BookEntity, int], caller: Caller, events: AfterCommit, seen: list[str]):
        self.api, self.caller, self.events, self.seen = api, caller, events, seen
        self.repeatable = lambda route: route

    async def send(
        self,
        operation: str,
        query: str = "",
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        plan: Plan = Plan.PAID,
        **path: object,
    ) -> tuple[Response, Any]:
        route = self.repeatable(next(r for r in self.api.routes() if r.name == f"book_{operation}"))
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {name.encode(): value.encode() for name, value in (headers or {}).items()}
        request = Request(route.method, "/shelf-service/api/book", query.encode(), sent, BufferedBody(raw))
        request.path_params = {name: str(value) for name, value in path.items()}
        async with acting_as(RequestContext(request_id="r", partner_id=self.caller.partner, user_id=5, plan=plan)):
            response = await route.handler(request)
        return response, json.loads(response.body) if response.body else None

    async def rows(self) -> list[tuple[int, str, int, bool]]:
        """What is stored of this partner, hidden rows too."""
        async with acting_as(RequestContext(request_id="r", partner_id=self.caller.partner, plan=Plan.PAID)):
            found = await self.api.manager.dao.with_disabled().all_entities()
        return [(book.id, book.title, book.version, book.enabled) for book in found]


@pytest.fixture
async def rig(store: PostgresStore, caller: Caller) -> Rig:
    events, seen = AfterCommit(), []
    container = Container(store=store, events=events)
    manager = Telling(BookEntry, container.dao(BookEntry, BookEntity, BookEntity.id), events=events)
    manager.seen = seen
    options = ApiOptions(natural_key=("partner_id", "title"))
    return Rig(container.api(manager, int, "book", options=options), caller, events, seen)


async def test_every_write_takes_it_and_no_read_does(rig: Rig) -> None:
    taking = {r.name.removeprefix("book_") for r in rig.api.routes() if any(p.name == "dryRun" for p in r.parameters)}
    assert taking == {"create", "replace", "patch", "delete", "restore", "bulk", "import"}


async def test_it_is_answered_as_if_it_were_done_and_says_that_it_was_not(rig: Rig) -> None:
    _, done = await rig.send("create", "", {"title": "Emma"})
    id, before = done["data"][0]["id"], await rig.rows()
    for operation, query, body, status, answer in (
        ("create", "", {"title": "Persuasion", "pages": 249}, 201, "Persuasion"),
        ("replace", "", {"title": "Sanditon"}, 200, "Sanditon"),
        ("patch", "", {"title": "Sanditon"}, 200, "Sanditon"),
        ("delete", "", None, 204, None),
        ("bulk", "", {"create": [{"title": "a"}], "update": [{"id": id, "pages": 1}], "delete": [id]}, 200, None),
        ("bulk", "atomic=false&", {"upsert": [{"title": "Emma", "pages": 7}, {"title": "new"}]}, 200, None),
        ("import", "", b"title,pages\nLady Susan,80\nEmma,3\n", 200, None),
    ):
        path = {} if operation in ("create", "bulk", "import") else {"id": id}
        response, said = await rig.send(operation, f"{query}dryRun=true", body, **path)
        assert response.status == status, operation
        assert (b"dry-run", b"true") in response.headers
        if said is not None:
            assert said["status"] == {**said["status"], "status": "SUCCESS"}
            assert said["status"]["message"].startswith(MESSAGE)
        if answer is not None:
            assert said["data"][0]["title"] == answer
            assert any(name == b"etag" for name, _ in response.headers)
        assert await rig.rows() == before, operation
    await rig.send("delete", "", None, id=id)
    hidden = await rig.rows()
    _, said = await rig.send("restore", "dryRun=true", None, id=id)
    assert (said["data"][0]["title"], await rig.rows()) == ("Emma", hidden)


async def test_rules_hooks_and_the_steps_before_the_commit_run_and_nothing_goes_out(rig: Rig) -> None:
    await rig.send("create", "dryRun=true", {"title": "Emma"})
    assert rig.seen == ["created Emma", "before the commit"]
    assert rig.events.out == []
    await rig.send("create", "dryRun=false", {"title": "Emma"})
    assert [event.title for event in rig.events.out if isinstance(event, Told)] == ["Emma"]


async def test_what_would_be_refused_is_refused(rig: Rig) -> None:
    _, done = await rig.send("create", "", {"title": "Emma"})
    id = done["data"][0]["id"]
    for error, operation, body, extra in (
        (ConflictError, "create", {"title": "Emma"}, {}),
        (InputError, "create", {"titel": "Emma"}, {}),
        (RuleError, "create", {"title": "ruled out"}, {}),
        (PlanError, "create", {"title": "x", "email": "a@b.example"}, {"plan": Plan.FREE}),
        (VersionMismatchError, "patch", {"pages": 1}, {"id": id, "headers": {"if-match": '"9"'}}),
        (ConflictError, "bulk", {"create": [{"title": "ok"}, {"title": "Emma"}]}, {}),
    ):
        with pytest.raises(error):
            await rig.send(operation, "dryRun=true", body, **extra)
    assert [title for _, title, _, _ in await rig.rows()] == ["Emma"]


async def test_a_value_that_is_no_answer_or_comes_twice_is_refused(rig: Rig) -> None:
    for query in ("dryRun=yes", "dryRun=", "dryRun=true&dryRun=true", "dryrun=true"):
        with pytest.raises(InputError, match="dryRun"):
            await rig.send("create", query, {"title": "Emma"})
    with pytest.raises(InputError, match="there are: dryRun"):
        await rig.send("create", "nothing=1", {"title": "Emma"})
    assert await rig.rows() == []


async def test_a_handler_that_is_called_past_its_route_does_not_take_it_for_done(rig: Rig) -> None:
    with pytest.raises(InputError, match="through that"):
        await rig.caller.call(rig.api.create, {"title": "Emma"}, query="dryRun=true")
    assert await rig.rows() == []


async def test_a_key_that_makes_a_request_repeatable_keeps_nothing_of_a_dry_run(
    rig: Rig, store: PostgresStore, database_url: str
) -> None:
    await runner.upgrade(database_url, [FRAMEWORK], lambda _: None)
    rig.repeatable = Idempotency(PostgresIdempotency(store.pool)).route
    key = {"idempotency-key": "one"}
    for _ in range(2):
        response, _ = await rig.send("create", "dryRun=true", {"title": "Emma"}, headers=key)
        assert (b"idempotent-replayed", b"true") not in response.headers
    response, _ = await rig.send("create", "", {"title": "Emma"}, headers=key)
    assert (response.status, len(await rig.rows())) == (201, 1)
    with pytest.raises(InputError):
        await rig.send("create", "dryRun=true", {"title": "Emma"}, headers={"idempotency-key": "a b"})


async def test_what_is_checked_at_the_commit_alone_is_checked(
    rig: Rig, store: PostgresStore, database_url: str
) -> None:
    async with connection(database_url) as raw:
        await raw.execute(DEFERRED)

    async def write(_: Request) -> Response:
        work = begin_transaction()
        transaction: Any = await work.join(store.pool)
        await transaction.connection.raw.execute("INSERT INTO shelf.written VALUES (404)")
        return Response(204, content_type=None)

    route = dry_runnable(Route(method="POST", path="/x", handler=write, name="x", summary=""))
    with pytest.raises(ConflictError):
        await rig.caller.call(route.handler, query="dryRun=true")


async def test_a_use_case_under_serializable_takes_part_and_commits_nothing(rig: Rig) -> None:
    isolation: list[str] = []

    async def write(request: Request) -> Response:
        async def work() -> Response:
            isolation.append(current_work().isolation)
            return await rig.api.create(request)

        return await serializable(work)

    route = dry_runnable(Route(method="POST", path="/x", handler=write, name="x", summary=""))
    response = await rig.caller.call(route.handler, {"title": "Emma"}, query="dryRun=true")
    assert (response.status, isolation, await rig.rows()) == (201, ["serializable"], [])
