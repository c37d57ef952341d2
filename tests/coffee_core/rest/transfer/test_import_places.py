"""Only so many imports run at a time, and one partner leaves room for the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import orjson
import pytest
from msgspec import field

from coffee_core.domain.context import OPERATOR_PARTNER, RequestContext
from coffee_core.domain.errors import InputError, UnavailableError
from coffee_core.domain.plan import Plan
from coffee_core.http.problems import problem_of
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.transfer.places import LATER
from coffee_core.wire.message import BufferedBody, Request
from tests.coffee_core.rest.transfer.rig import SETTINGS, Caller, city_api

HEAD = b"code,name,population\n"
ALL_TAKEN = "as many imports run as may at one time"
YOURS = "as many of your imports run as may at one time; send this one when one of them has ended"


class Held(BufferedBody, kw_only=True):
    """A body that comes when the test lets it; `asked` is set once the import waits for it."""

    gate: asyncio.Event
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def chunks(self, limit: int) -> AsyncIterator[bytes]:
        self.asked.set()
        await self.gate.wait()
        async for chunk in super().chunks(limit):
            yield chunk


@asynccontextmanager
async def running(city: Caller, *partners: int | None) -> AsyncIterator[Sequence[asyncio.Task[None]]]:
    """An import of each of these, until this ends."""
    gate = asyncio.Event()
    bodies = [Held(HEAD, gate=gate) for _ in partners]
    tasks = [asyncio.create_task(one(city, partner, body)) for partner, body in zip(partners, bodies, strict=True)]
    async with asyncio.timeout(10):
        await asyncio.gather(*(body.asked.wait() for body in bodies))
    try:
        yield tasks
    finally:
        gate.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert not [error for error in ended if isinstance(error, Exception)]


async def one(city: Caller, partner: int | None, body: BufferedBody | None = None) -> None:
    async with acting_as(RequestContext(request_id="t", partner_id=partner, plan=Plan.PAID)):
        await city.api.transfer.import_(Request("POST", "/import", b"", {}, body or BufferedBody(HEAD)))


async def refused(city: Caller, partner: int | None) -> str:
    """What a caller is told whose import has to wait."""
    with pytest.raises(UnavailableError) as error:
        await one(city, partner)
    answer = problem_of(error.value, path="/import", request_id="t")
    assert (answer.status, dict(answer.headers)[b"retry-after"]) == (503, b"%d" % LATER)
    return orjson.loads(answer.body)["detail"]


@pytest.fixture
async def shared(database_url: str) -> AsyncIterator[Caller]:
    """Every partner may import here, three at a time, of one partner two."""
    rest = SETTINGS.model_copy(update={"imports_max": 3, "imports_per_partner_max": 2})
    async with city_api(database_url, rest=rest, partners_write=True) as caller:
        yield caller


async def test_no_more_imports_run_at_a_time_than_there_may(city: Caller) -> None:
    """The two that wait for their bodies hold a place each; the third is told when to come again."""
    async with running(city, OPERATOR_PARTNER, OPERATOR_PARTNER):
        assert await refused(city, OPERATOR_PARTNER) == ALL_TAKEN
    await one(city, OPERATOR_PARTNER)


async def test_one_partner_leaves_a_place_for_the_others(shared: Caller) -> None:
    async with running(shared, 1, 1):
        assert await refused(shared, 1) == YOURS
        await one(shared, 2)
    await one(shared, 1)


async def test_by_default_a_partner_cannot_take_every_place(database_url: str) -> None:
    async with city_api(database_url, partners_write=True) as city, running(city, 1):
        assert await refused(city, 1) == YOURS
        await one(city, 2)


async def test_who_has_to_wait_learns_nothing_of_how_many_are_anothers(shared: Caller) -> None:
    """The same words, whoever holds the places: by his own bound he is told of his own imports alone."""
    async with running(shared, 1, 1, 2):
        assert await refused(shared, 3) == await refused(shared, 2) == ALL_TAKEN
        assert await refused(shared, 1) == YOURS


async def test_callers_without_a_session_have_one_partners_share(shared: Caller) -> None:
    async with running(shared, None, None):
        assert await refused(shared, None) == YOURS
        await one(shared, 1)


async def test_an_import_that_fails_or_is_left_gives_its_place_back(shared: Caller) -> None:
    async with running(shared, 1, 1) as (left, _):
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        await one(shared, 1)
    with pytest.raises(InputError):
        await one(shared, 1, BufferedBody(b""))
    async with running(shared, 1, 1):
        assert await refused(shared, 1) == YOURS
