"""The parameters of a search mean the same however often they are asked, and to each caller what his plan allows."""

from __future__ import annotations

from typing import Any, TypeAlias

import pytest

from coffee_core.domain.context import RequestContext
from coffee_core.domain.errors import InputError, PlanError
from coffee_core.domain.plan import Plan
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.api import Api
from coffee_core.rest.searching import REMEMBERED, REMEMBERED_BYTES
from tests.coffee_core.rest.conftest import Caller
from tests.coffee_core.rest.sample import BookEntity, BookEntry

Books: TypeAlias = Api[BookEntry, BookEntity, int]


def at_least(pages: int) -> dict[str, Any]:
    return {"filters": [{"filterType": "GTE", "field": "pages", "value": pages}]}


async def test_the_same_parameters_are_asked_with_other_filters_by_other_partners(caller: Caller, books: Books) -> None:
    other = Caller(caller.partner + 700_000)
    for at in range(5):
        await caller.call(books.create, {"title": f"mine {at}", "pages": at})
    await other.call(books.create, {"title": "theirs", "pages": 9})
    query = "sortBy=pages&sortDir=DESC&size=2&fields=pages"
    for who, body, expected in (
        (caller, at_least(0), [4, 3]),
        (caller, at_least(4), [4]),
        (other, at_least(0), [9]),
        (caller, None, [4, 3]),
    ):
        answer = await who.json(books.search, body, query=query)
        assert [book["pages"] for book in answer["data"]] == expected


@pytest.mark.parametrize("query", ["sortBy=email", "fields=title,email"])
async def test_a_search_that_one_plan_may_ask_is_refused_to_a_smaller_one(
    caller: Caller, books: Books, query: str
) -> None:
    saas, free = caller.on(Plan.SAAS), caller.on(Plan.FREE)
    for _ in range(2):
        await saas.call(books.search, {}, query=query)
        with pytest.raises(PlanError):
            await free.call(books.search, {}, query=query)


async def test_a_wrong_filter_is_refused_beside_parameters_that_were_right(caller: Caller, books: Books) -> None:
    for _ in range(2):
        await caller.call(books.search, at_least(1), query="size=3")
        with pytest.raises(InputError, match="/filters/0/value is not a value of pages"):
            await caller.call(
                books.search, {"filters": [{"filterType": "GTE", "field": "pages", "value": "x"}]}, query="size=3"
            )
        with pytest.raises(InputError, match="unknown members"):
            await caller.call(
                books.search,
                {"filters": [{"filterType": "GTE", "field": "pages", "value": 1, "or": 2}]},
                query="size=3",
            )


async def test_what_is_remembered_is_bounded_and_holds_nothing_of_a_tenants(caller: Caller, books: Books) -> None:
    cursor = ""
    for title in ("a", "b"):
        await caller.call(books.create, {"title": title})
        cursor = (await caller.json(books.search, {}, query="size=1"))["status"].get("nextCursor")
    remembered = books.searches._remembered
    remembered.clear()
    async with acting_as(RequestContext(request_id="r", partner_id=caller.partner)):
        for query in (f"cursor={cursor}", "q=somebody's%20name", "fields=" + "title," * REMEMBERED_BYTES + "id"):
            books.searches.read(query.encode(), {})
        assert not remembered
        for page in range(1, REMEMBERED + 50):
            books.searches.read(b"size=1&page=%d" % page, {})
        assert 0 < len(remembered) <= REMEMBERED
