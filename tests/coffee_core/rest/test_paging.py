"""Pages together are the whole, whatever the order and whatever is written between them."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coffee_core.domain.errors import InputError, PlanError
from coffee_core.domain.plan import Plan
from coffee_core.domain.search import Cursor, SearchQuery
from coffee_core.rest.api import Api
from coffee_core.rest.cursor import CursorCodec, filters_of
from coffee_core.wire.message import Response
from tests.coffee_core.rest.conftest import Caller
from tests.coffee_core.rest.sample import BookEntity, BookEntry

Books: TypeAlias = Api[BookEntry, BookEntity, int]


async def pages(caller: Caller, books: Books, query: str, *, between: Any = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(100):
        answer = await caller.json(books.search, {}, query=query + (f"&cursor={cursor}" if cursor else ""))
        found += answer["data"]
        cursor = answer["status"].get("nextCursor")
        if cursor is None:
            return found
        if between is not None:
            await between()
    raise AssertionError("the pages never end")


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize("by", ["id", "title", "pages", "price", "createdAt"])
async def test_following_the_cursor_visits_every_record_once_in_order(
    caller: Caller, books: Books, by: str, direction: str
) -> None:
    values = [3, None, 1, 3, 2, None, 3, 0]
    for at, pages_ in enumerate(values):
        price = None if pages_ is None else pages_ / 3
        await caller.call(books.create, {"title": f"t{at % 5}{at}", "pages": pages_, "price": price})
    whole = (await caller.json(books.search, {}, query=f"sortBy={by}&sortDir={direction}"))["data"]
    found = await pages(caller, books, f"sortBy={by}&sortDir={direction}&size=3")
    assert found == whole
    keys = [book[by] for book in whole]
    present = [key for key in keys if key is not None]
    assert present == sorted(present, reverse=direction == "DESC")
    assert keys[len(present) :] == [None] * (len(keys) - len(present)), "NULLs come last in both directions"
    for one, other in itertools.pairwise(whole):
        if one[by] == other[by]:
            assert (one["id"] < other["id"]) == (direction == "ASC"), "ties are broken by id"


async def test_records_written_between_pages_move_no_other_record(caller: Caller, books: Books) -> None:
    for at in range(9):
        await caller.call(books.create, {"title": f"old {at}", "pages": at * 10})
    added = iter(range(100))

    async def write() -> None:
        at = next(added)
        await caller.call(books.create, {"title": f"new {at}", "pages": at})

    found = await pages(caller, books, "sortBy=pages&sortDir=DESC&size=2", between=write)
    old = [book["pages"] for book in found if book["title"].startswith("old")]
    assert old == [80, 70, 60, 50, 40, 30, 20, 10, 0]
    assert len({book["id"] for book in found}) == len(found)


async def test_a_cursor_is_good_only_for_its_own_search_and_partner(caller: Caller, books: Books) -> None:
    for at in range(3):
        await caller.call(books.create, {"title": f"t{at}"})
    cursor = (await caller.json(books.search, {}, query="size=1&sortBy=title"))["status"]["nextCursor"]
    tampered = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    for query, who in (
        (f"size=1&sortBy=id&cursor={cursor}", caller),
        (f"size=1&sortBy=title&sortDir=DESC&cursor={cursor}", caller),
        (f"size=1&sortBy=title&q=x&cursor={cursor}", caller),
        (f"size=1&sortBy=title&cursor={tampered}", caller),
        (f"size=1&sortBy=title&cursor={cursor}", Caller(caller.partner + 700_000)),
        (f"size=1&sortBy=title&page=2&cursor={cursor}", caller),
    ):
        with pytest.raises(InputError):
            await who.call(books.search, {}, query=query)
    assert (await caller.json(books.search, {}, query=f"size=5&sortBy=title&cursor={cursor}"))["count"] == 2


async def test_a_cursor_holds_its_filters_its_text_and_its_sorting(caller: Caller, books: Books) -> None:
    for at in range(7):
        await caller.call(books.create, {"title": f"novel {at}", "pages": at})
    await caller.call(books.create, {"title": "poems", "pages": 3})
    body = {"filters": [{"filterType": "GTE", "field": "pages", "value": 2}]}
    answer = await caller.json(books.search, body, query="sortBy=pages&sortDir=DESC&q=novel&size=2")
    found = [book["pages"] for book in answer["data"]]
    while (cursor := answer["status"].get("nextCursor")) is not None:
        answer = await caller.json(books.search, query=f"size=2&cursor={cursor}")
        found += [book["pages"] for book in answer["data"]]
    assert found == [6, 5, 4, 3, 2]


async def test_beside_a_cursor_another_filter_is_refused_and_its_own_is_not(caller: Caller, books: Books) -> None:
    for at in range(3):
        await caller.call(books.create, {"title": f"t{at}", "pages": at})
    own = {"filters": [{"filterType": "GTE", "field": "pages", "value": 0}]}
    cursor = (await caller.json(books.search, own, query="size=1"))["status"]["nextCursor"]
    assert (await caller.json(books.search, own, query=f"cursor={cursor}"))["count"] == 2
    for other in ({"filters": []}, {"filters": [{"filterType": "GTE", "field": "pages", "value": 1}]}):
        with pytest.raises(InputError, match="another search"):
            await caller.call(books.search, other, query=f"cursor={cursor}")


async def test_filters_too_long_for_an_address_are_sent_with_each_page(caller: Caller, books: Books) -> None:
    for at in range(3):
        await caller.call(books.create, {"title": f"t{at}", "pages": at})

    def long(count: int) -> dict[str, Any]:
        return {"filters": [{"filterType": "IN", "field": "pages", "value": list(range(count))}]}

    cursor = (await caller.json(books.search, long(600), query="size=1"))["status"]["nextCursor"]
    assert len(cursor) < 400
    assert (await caller.json(books.search, long(600), query=f"cursor={cursor}"))["count"] == 2
    with pytest.raises(InputError, match="too long to be held"):
        await caller.call(books.search, query=f"cursor={cursor}")
    with pytest.raises(InputError, match="another search"):
        await caller.call(books.search, long(601), query=f"cursor={cursor}")


async def test_what_a_cursor_holds_is_read_with_the_rights_of_who_sends_it(caller: Caller, books: Books) -> None:
    for at in range(2):
        await caller.call(books.create, {"title": f"t{at}", "email": "a@b.example"})
    body = {"filters": [{"filterType": "NOT_NULL", "field": "email"}]}
    cursor = (await caller.json(books.search, body, query="size=1"))["status"]["nextCursor"]
    with pytest.raises(PlanError):
        await caller.on(Plan.FREE).call(books.search, query=f"cursor={cursor}")


def links(response: Response) -> dict[str, str]:
    header = dict(response.headers).get(b"link", b"").decode()
    return {rel: target for target, rel in re.findall(r'<([^>]*)>; rel="(\w+)"', header)}


async def test_the_link_header_leads_through_the_pages(caller: Caller, books: Books) -> None:
    for at in range(5):
        await caller.call(books.create, {"title": f"a b{at}", "pages": at})
    path = "/shelf-service/api/book"
    first = links(await caller.call(books.search, {}, query="sortBy=pages&size=2&page=1"))
    assert first == {"next": f"{path}?sortBy=pages&size=2&page=2", "first": f"{path}?sortBy=pages&size=2&page=1"}
    second = links(await caller.call(books.search, {}, query="page=2&q=a%20b&size=2"))
    assert second == {rel: f"{path}?q=a+b&size=2&page={at}" for rel, at in (("next", 3), ("prev", 1), ("first", 1))}
    assert links(await caller.call(books.search, {}, query="size=2&page=3")).keys() == {"prev", "first"}
    assert links(await caller.call(books.search, {}, query="page=1")) == {}
    assert links(await caller.call(books.search, {})) == {}
    found, query = 0, "size=2&sortBy=title"
    while True:
        response = await caller.call(books.search, query=query)
        found += json.loads(response.body)["count"]
        following = links(response)
        if "next" not in following:
            break
        assert following.keys() == ({"next", "prev"} if found > 2 else {"next"})
        query = following["next"].partition("?")[2]
    assert found == 5


async def walk(caller: Caller, books: Books, query: str, rel: str) -> tuple[list[list[dict[str, Any]]], str]:
    """The pages that the links of one kind lead through, and the query of the last one's link the other way."""
    found = []
    for _ in range(100):
        response = await caller.call(books.search, query=query)
        found.append(json.loads(response.body)["data"])
        following = links(response)
        if rel not in following:
            return found, following.get("prev" if rel == "next" else "next", "").partition("?")[2]
        query = following[rel].partition("?")[2]
    raise AssertionError("the pages never end")


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8, 9])
@pytest.mark.parametrize("order", ["id", "title", "pages", "pages&sortDir=DESC", "createdAt&sortDir=DESC"])
async def test_links_lead_there_and_back_through_the_same_pages(
    caller: Caller, books: Books, order: str, size: int
) -> None:
    for at, pages_ in enumerate([3, None, 1, 3, 2, None, 3, 0]):
        await caller.call(books.create, {"title": f"t{at % 5}{at}", "pages": pages_})
    forth, back = await walk(caller, books, f"sortBy={order}&size={size}", "next")
    assert sum(map(len, forth)) == 8
    if len(forth) == 1:
        assert not back
        return
    returned, onwards = await walk(caller, books, back, "prev")
    assert returned[::-1] == [[], *forth[:-1]], "a full page may have one before it, as one behind it"
    again, _ = await walk(caller, books, onwards, "next")
    assert again == forth


async def test_the_page_before_has_what_has_come_in_before_it_and_not_what_has_gone(
    caller: Caller, books: Books
) -> None:
    made = [
        (await caller.json(books.create, {"title": f"t{at}", "pages": at * 10}))["data"][0]["id"] for at in range(6)
    ]
    body = {"filters": [{"filterType": "GTE", "field": "pages", "value": 0}]}
    first = await caller.call(books.search, body, query="sortBy=pages&size=2")
    second = await caller.call(books.search, query=links(first)["next"].partition("?")[2])
    await caller.call(books.create, {"title": "came in", "pages": 5})
    await caller.call(books.delete, id=made[1])
    back = await caller.call(books.search, query=links(second)["prev"].partition("?")[2])
    assert [book["pages"] for book in json.loads(back.body)["data"]] == [0, 5]
    on = await caller.call(books.search, query=links(back)["next"].partition("?")[2])
    assert json.loads(on.body)["data"] == json.loads(second.body)["data"]
    assert json.loads(back.body)["status"]["nextCursor"] in links(back)["next"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60))
def test_no_text_is_taken_for_a_cursor(text: str) -> None:
    with pytest.raises(InputError):
        CursorCodec(b"key").decode(text, b"shelf 1")


FILTERS = st.lists(
    st.dictionaries(st.text(max_size=5), st.integers(0, 9) | st.text(max_size=9), max_size=3), max_size=9
)


@given(
    sort_value=st.none() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    id=st.integers(-(2**63), 2**63),
    filters=FILTERS,
    before=st.booleans(),
    backwards=st.booleans(),
)
def test_a_cursor_brings_back_the_place_and_the_search_it_was_given_for(
    sort_value: object, id: int, filters: list[object], before: bool, backwards: bool
) -> None:
    codec, query = CursorCodec(b"key"), SearchQuery(sort_by="x", descending=True, text="t")
    try:
        cursor = codec.encode(Cursor(sort_value, id, before, backwards), query, filters, b"shelf 1")
    except UnicodeEncodeError:  # a lone surrogate: no text
        return
    held = codec.decode(cursor, b"shelf 1")
    assert (held.sort_value, held.id, held.sort_by, held.descending, held.text) == (sort_value, id, "x", True, "t")
    assert (held.before, held.backwards) == (before, backwards)
    assert filters_of(held, filters) == filters
    with pytest.raises(InputError):
        filters_of(held, [*filters, 1])
    with pytest.raises(InputError):
        codec.decode(cursor, b"shelf 2")
