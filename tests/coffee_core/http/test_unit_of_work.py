"""One unit of work a request: what is stored when, and what is undone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from coffee_core.domain.errors import ConflictError, UnavailableError
from coffee_core.http.settings import HttpSettings
from coffee_core.persistence.unit_of_work import current_work
from coffee_core.wire.message import Handler, Request, Response
from tests.coffee_core.http.rig import (
    PARTNER_7,
    Store,
    application,
    body_of,
    header,
    problem,
    request,
    route,
)
from tests.support.raw_http import until


def writes(store: Store, then: Handler) -> Handler:
    """A handler that has written something when it goes on."""

    async def handle(asked: Request) -> Response:
        await current_work().join(store)
        return await then(asked)

    return handle


def answers(status: int) -> Handler:
    async def handle(_: Request) -> Response:
        return Response(status, b"{}")

    return handle


async def fails(_: Request) -> Response:
    raise ConflictError("there is one already")


async def breaks(_: Request) -> Response:
    raise ZeroDivisionError


async def never_ends(_: Request) -> Response:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(
    ("handler", "status", "ended"),
    [
        pytest.param(answers(200), 200, "committed", id="a success is committed"),
        pytest.param(answers(204), 204, "committed", id="so is one without a body"),
        pytest.param(answers(404), 404, "rolled back", id="an answer above 400 is rolled back"),
        pytest.param(fails, 409, "rolled back", id="so is a refusal that is raised"),
        pytest.param(breaks, 500, "rolled back", id="so is a fault of ours"),
    ],
)
async def test_how_a_unit_of_work_ends(handler: Handler, status: int, ended: str) -> None:
    store = Store()
    response = await application(route(writes(store, handler))).handler(request())
    assert (response.status, store.ended) == (status, [ended])


async def test_a_success_is_answered_after_the_commit_and_not_before() -> None:
    committing, may_commit = asyncio.Event(), asyncio.Event()

    async def commit() -> None:
        committing.set()
        await may_commit.wait()

    store = Store(commit=commit)
    asking = asyncio.create_task(_answer(application(route(writes(store, answers(201)))).handler))
    await committing.wait()
    assert not asking.done()
    may_commit.set()
    assert (await asking).status == 201
    assert store.ended == ["committed"]


async def _answer(handler: Handler) -> Response:
    return await handler(request())


async def test_a_commit_that_fails_is_no_success() -> None:
    async def refuse() -> None:
        raise UnavailableError("the database was lost while committing")

    response = await application(route(writes(Store(commit=refuse), answers(200)))).handler(request())
    assert problem(response)["type"] == "urn:coffee:problem:unavailable"
    assert response.status == 503


async def test_a_commit_that_does_not_end_is_given_up_and_says_that_nobody_knows() -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    settings = HttpSettings(access_log="off", commit_seconds=0.05)
    store = Store(commit=forever)
    response = await application(route(writes(store, answers(200))), settings=settings).handler(request())
    assert response.status == 503
    assert "may or may not" in problem(response)["detail"]
    assert store.ended == []


async def test_a_step_before_the_commit_that_fails_rolls_everything_back() -> None:
    async def handle(_: Request) -> Response:
        async def step() -> None:
            raise ZeroDivisionError

        current_work().before_commit.append(step)
        return Response(200)

    store = Store()
    response = await application(route(writes(store, handle))).handler(request())
    assert (response.status, store.ended) == (500, ["rolled back"])


async def test_what_waits_for_the_commit_runs_after_it_and_never_after_a_rollback() -> None:
    done: list[str] = []

    async def handle(asked: Request) -> Response:
        async def hook() -> None:
            done.append(asked.method)

        current_work().after_commit(hook)
        return Response(200 if asked.method == "GET" else 400)

    app = application(route(writes(Store(), handle)), route(writes(Store(), handle), method="POST"))
    await app.handler(request())
    await app.handler(request(method="POST"))
    assert done == ["GET"]


async def test_what_waits_for_nothing_runs_after_the_commit_too_and_one_that_fails_harms_no_other() -> None:
    done: list[str] = []

    def fail() -> None:
        raise OSError

    async def handle(asked: Request) -> Response:
        work = current_work()
        work.after_commit_at_once(lambda: done.append("first"))
        work.after_commit_at_once(fail)
        work.after_commit_at_once(lambda: done.append("last"))
        return Response(200 if asked.method == "GET" else 400)

    store = Store()
    app = application(route(writes(store, handle)), route(handle, method="POST"), route(handle, path="/api/alone"))
    await app.handler(request())
    assert (done, store.ended) == (["first", "last"], ["committed"])
    await app.handler(request(method="POST"))
    assert done == ["first", "last"]
    await app.handler(request("/thing-service/api/alone"))
    assert done == ["first", "last"] * 2


async def test_a_request_past_its_deadline_is_stopped_rolled_back_and_answered_504() -> None:
    store = Store()
    app = application(route(writes(store, never_ends)))
    await app.start()
    try:
        response = await app.handler(request(headers={**PARTNER_7, b"x-request-timeout": b"0.01"}))
    finally:
        await app.stop()
    assert (response.status, store.ended) == (504, ["rolled back"])
    assert asyncio.current_task() is not None
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]  # there is one: it is this test


async def test_a_handler_that_swallows_its_cancellation_gets_nothing_stored() -> None:
    async def stubborn(asked: Request) -> Response:
        with suppress(asyncio.CancelledError):
            await never_ends(asked)
        return Response(200)

    store = Store()
    app = application(route(writes(store, stubborn)))
    asking = asyncio.create_task(_answer(app.handler))
    await until(lambda: len(app.units.flights) == 1, "the request is in flight")
    app.units.sweep(float("inf"))
    assert (await asking).status == 504
    assert store.ended == ["rolled back"]


async def test_the_deadline_is_the_smaller_of_the_callers_and_ours() -> None:
    app = application(route(never_ends), settings=HttpSettings(access_log="off", deadline_seconds=5))
    loop = asyncio.get_running_loop()
    for asked, allowed in ((b"2.5", 2.5), (b"60", 5.0)):
        task = asyncio.create_task(_ask(app.handler, asked))
        await until(lambda: len(app.units.flights) == 1, "the request is in flight")
        (flight,) = app.units.flights
        assert flight.context.deadline - loop.time() == pytest.approx(allowed, abs=1)
        task.cancel()
        await asyncio.wait({task})


async def _ask(handler: Handler, seconds: bytes) -> Response:
    return await handler(request(headers={**PARTNER_7, b"x-request-timeout": seconds}))


@pytest.mark.parametrize("text", [b"0", b"-1", b"soon", b"1e9", b"", b"1, 2", b"0.0001"])
async def test_a_time_out_that_is_none_is_refused(text: bytes) -> None:
    response = await _ask(application(route(answers(200))).handler, text)
    assert response.status == 400


async def test_a_caller_that_goes_away_rolls_back_and_is_not_taken_for_a_deadline() -> None:
    store = Store()
    app = application(route(writes(store, never_ends)))
    asking = asyncio.create_task(_answer(app.handler))
    await until(lambda: len(app.units.flights) == 1, "the request is in flight")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert store.ended == ["rolled back"]
    assert app.units.flights == set()


async def test_a_caller_that_goes_away_during_the_commit_interrupts_neither_it_nor_what_follows() -> None:
    committing, may_commit, published = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def commit() -> None:
        committing.set()
        await may_commit.wait()

    async def handle(_: Request) -> Response:
        async def hook() -> None:
            published.set()

        current_work().after_commit(hook)
        return Response(200)

    store = Store(commit=commit)
    app = application(route(writes(store, handle)))
    asking = asyncio.create_task(_answer(app.handler))
    await committing.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    may_commit.set()
    await app.units.settle()
    assert store.ended == ["committed"]
    assert published.is_set()


async def test_a_streamed_success_is_committed_before_its_first_chunk() -> None:
    store = Store()
    seen: list[list[str]] = []

    async def chunks() -> AsyncIterator[bytes]:
        seen.append(list(store.ended))
        yield b"1"

    async def handle(_: Request) -> Response:
        return Response(200, stream=chunks())

    response = await application(route(writes(store, handle))).handler(request())
    assert await body_of(response) == b"1"
    assert seen == [["committed"]]
    assert header(response, b"x-bb-requestid")


async def test_a_read_opens_no_transaction() -> None:
    store = Store()
    response = await application(route(answers(200))).handler(request())
    assert (response.status, store.ended) == (200, [])
