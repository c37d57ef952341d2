"""What every resource promises its callers, on PostgreSQL."""

from __future__ import annotations

from typing import TypeAlias

import pytest

from coffee_core.domain.context import RequestContext
from coffee_core.domain.errors import (
    ConflictError,
    InputError,
    NotFoundError,
    PlanError,
    RuleError,
    UnauthenticatedError,
    VersionMismatchError,
)
from coffee_core.domain.plan import Plan
from coffee_core.domain.search import SearchQuery
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.api import Api
from coffee_core.wire.message import BufferedBody, Request
from tests.coffee_core.rest.conftest import Caller
from tests.coffee_core.rest.sample import BookEntity, BookEntry, connection

Books: TypeAlias = Api[BookEntry, BookEntity, int]


async def a_book(caller: Caller, books: Books, **fields: object) -> int:
    found = await caller.json(books.create, {"title": "Emma", **fields})
    return int(found["data"][0]["id"])


async def test_a_created_record_comes_back_whole_with_its_place_and_version(caller: Caller, books: Books) -> None:
    answer = await caller.call(books.create, {"title": "Emma", "pages": 474, "audience": {"age": {"18-24": 0.5}}})
    assert answer.status == 201
    headers = dict(answer.headers)
    assert headers[b"etag"] == b'"1"'
    book = (await caller.json(books.get, id=int(headers[b"location"].rsplit(b"/", 1)[1])))["data"][0]
    assert (book["title"], book["pages"], book["audience"], book["tags"], book["createdBy"]) == (
        "Emma", 474, {"age": {"18-24": 0.5}}, [], 5,
    )  # fmt: skip


async def test_unset_null_and_value_are_three_things_to_a_patch(caller: Caller, books: Books) -> None:
    id = await a_book(caller, books, pages=474, price=9.5)
    book = (await caller.json(books.patch, {"pages": None}, id=id))["data"][0]
    assert (book["pages"], book["price"]) == (None, 9.5)


async def test_a_replacement_sets_what_it_leaves_out_to_its_default(caller: Caller, books: Books) -> None:
    id = await a_book(caller, books, pages=474, tags=["a"])
    book = (await caller.json(books.replace, {"id": id, "title": "Persuasion"}, id=id))["data"][0]
    assert (book["title"], book["pages"], book["tags"]) == ("Persuasion", None, [])


async def test_a_replacement_on_a_smaller_plan_keeps_what_that_plan_hides(caller: Caller, books: Books) -> None:
    id = await a_book(caller, books, email="a@b.example")
    await caller.on(Plan.FREE).json(books.replace, {"title": "Persuasion"}, id=id)
    assert (await caller.json(books.get, id=id))["data"][0]["email"] == "a@b.example"


async def test_a_write_based_on_an_old_version_changes_nothing(caller: Caller, books: Books) -> None:
    id = await a_book(caller, books, pages=1)
    await caller.call(books.patch, {"pages": 2}, id=id, headers={"if-match": '"1"'})
    with pytest.raises(VersionMismatchError):
        await caller.call(books.patch, {"pages": 3}, id=id, headers={"if-match": '"1"'})
    with pytest.raises(VersionMismatchError):
        await caller.call(books.delete, id=id, headers={"if-match": '"1"'})
    answer = await caller.call(books.get, id=id)
    assert dict(answer.headers)[b"etag"] == b'"2"'


async def test_a_caller_who_has_the_version_is_not_sent_it_again(caller: Caller, books: Books) -> None:
    id = await a_book(caller, books)
    answer = await caller.call(books.get, id=id, headers={"if-none-match": 'W/"7", "1"'})
    assert (answer.status, answer.body) == (304, b"")


async def test_another_partners_record_does_not_exist_in_any_operation(caller: Caller, books: Books) -> None:
    id = await a_book(caller, books)
    stranger = Caller(caller.partner + 500_000)
    for call in (
        stranger.call(books.get, id=id),
        stranger.call(books.patch, {"pages": 1}, id=id),
        stranger.call(books.replace, {"title": "x"}, id=id),
        stranger.call(books.delete, id=id),
        stranger.call(books.restore, id=id),
    ):
        with pytest.raises(NotFoundError, match=f"there is no book {id}"):
            await call
    assert (await stranger.json(books.get_many, query=f"ids={id}"))["data"] == []
    found = await stranger.json(books.search, {"filters": [{"filterType": "EQ", "field": "id", "value": id}]})
    assert (found["data"], found["totalCount"]) == ([], 0)


async def test_a_caller_without_a_session_reaches_no_tenants_rows(books: Books) -> None:
    request = Request("GET", "/", b"", {}, BufferedBody())
    request.path_params = {"id": "1"}
    with pytest.raises(UnauthenticatedError):
        async with acting_as(RequestContext(request_id="r")):
            await books.get(request)


async def test_a_deleted_record_is_gone_until_it_is_restored(caller: Caller, books: Books) -> None:
    id = await a_book(caller, books)
    assert (await caller.call(books.delete, id=id)).status == 204
    with pytest.raises(NotFoundError):
        await caller.call(books.get, id=id)
    with pytest.raises(NotFoundError):
        await caller.call(books.delete, id=id)
    assert (await caller.json(books.restore, id=id))["data"][0]["id"] == id


async def test_a_plan_that_hides_a_field_reads_null_and_says_so(caller: Caller, books: Books) -> None:
    id = await a_book(caller, books, email="a@b.example", audience={"x": 1})
    found = await caller.on(Plan.FREE).json(books.get, id=id)
    assert (found["data"][0]["email"], found["data"][0]["audience"]) == (None, None)
    assert found["status"]["lockedFields"] == ["audience", "email"]
    assert "lockedFields" not in (await caller.json(books.get, id=id))["status"]


@pytest.mark.parametrize(
    ("body", "query"),
    [
        pytest.param({"filters": [{"filterType": "EQ", "field": "email", "value": "x"}]}, "", id="filter"),
        pytest.param({"filters": [{"not": {"filterType": "IS_NULL", "field": "email"}}]}, "", id="nested filter"),
        pytest.param({"filters": [{"filterType": "GT", "field": "audience.x", "value": 1}]}, "", id="path"),
        pytest.param({}, "sortBy=email", id="sort"),
        pytest.param({}, "fields=id,email", id="field by name"),
    ],
)
async def test_a_search_on_a_locked_field_needs_the_plan(
    caller: Caller, books: Books, body: object, query: str
) -> None:
    with pytest.raises(PlanError, match="needs the plan SAAS"):
        await caller.on(Plan.FREE).call(books.search, body, query=query)
    assert (await caller.json(books.search, body, query=query))["data"] == []


async def test_a_write_of_a_locked_field_needs_the_plan(caller: Caller, books: Books) -> None:
    with pytest.raises(PlanError):
        await caller.on(Plan.FREE).call(books.create, {"title": "x", "email": "a@b.example"})


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        pytest.param({"title": "x", "id": 7}, "/id", id="a field that the server sets"),
        pytest.param({"title": "x", "colour": "red"}, "/colour", id="an unknown field"),
        pytest.param({"title": "x", "pages": "12"}, "/pages", id="a number as text"),
        pytest.param({"title": "x", "pages": -1}, "/pages", id="a value out of bounds"),
        pytest.param({"pages": 1}, "/title", id="a missing field"),
        pytest.param({"title": None}, "/title", id="null where none is allowed"),
    ],
)
async def test_bad_input_is_refused_with_its_place(caller: Caller, books: Books, body: object, pointer: str) -> None:
    with pytest.raises(InputError) as caught:
        await caller.call(books.create, body)
    assert [error.pointer for error in caught.value.errors] == [pointer]


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b'{"title": "\xff"}', b'{"title": "a\\u0000b"}', b'{"pages": 1e400}']
)
async def test_an_unreadable_body_stores_nothing(caller: Caller, books: Books, raw: bytes) -> None:
    with pytest.raises(InputError):
        await caller.call(books.create, raw=raw)
    assert (await caller.json(books.search))["totalCount"] == 0


async def test_a_number_that_no_column_holds_is_bad_input(caller: Caller, books: Books) -> None:
    with pytest.raises(InputError, match="does not fit"):
        await caller.call(books.create, {"title": "x", "pages": 2**63})


async def test_a_taken_key_is_a_conflict_and_a_table_rule_a_broken_rule(caller: Caller, books: Books) -> None:
    await a_book(caller, books)
    with pytest.raises(ConflictError):
        await a_book(caller, books)
    with pytest.raises(RuleError):
        await caller.call(books.create, {"title": "forbidden"})


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("colour=red", "there are: count, cursor"),
        ("size=0", "from 1 to 100"),
        ("size=101", "from 1 to 100"),
        ("size=1&size=2", "given twice"),
        ("page", "has no value"),
        ("page=1000000", "must be a whole number from 1 to 2000"),
        ("sortBy=colour", "there are id, title"),
        ("sortBy=tags", "knows no 'tags'"),
        ("sortDir=asc", "one of ASC, DESC"),
        ("count=many", "one of exact, estimated, none"),
        ("fields=colour", "there are id, title"),
        ("cursor=abc", "not one that was given here|another search"),
        ("cursor=%ff", "not UTF-8"),
        ("q=", "1 to 200"),
    ],
)
async def test_a_parameter_that_is_not_understood_is_refused_and_the_known_ones_named(
    caller: Caller, books: Books, query: str, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        await caller.call(books.search, {}, query=query)


async def test_only_the_fields_asked_for_are_answered(caller: Caller, books: Books) -> None:
    await a_book(caller, books, pages=3)
    found = await caller.json(books.search, {}, query="fields=pages,title&sortBy=createdAt")
    assert found["data"] == [{"pages": 3, "title": "Emma"}]


async def test_ids_that_are_there_are_answered_once_and_the_others_left_out(caller: Caller, books: Books) -> None:
    id = await a_book(caller, books)
    found = await caller.json(books.get_many, query=f"ids={id},{id},999999999&fields=id")
    assert found["data"] == [{"id": id}]


async def test_an_id_that_cannot_be_one_is_not_found(caller: Caller, books: Books) -> None:
    for id in ("abc", "-1", "1.0", "9" * 30, "٣"):
        with pytest.raises(NotFoundError):
            await caller.call(books.get, id=id)


async def test_a_page_that_is_not_full_says_the_total_without_counting(caller: Caller, books: Books) -> None:
    for number in range(5):
        await a_book(caller, books, title=f"b{number}")
    found = await caller.json(books.search, {}, query="size=2&page=3")
    assert (found["count"], found["totalCount"]) == (1, 5)
    found = await caller.json(books.search, {}, query="size=2&page=9")
    assert (found["count"], found["totalCount"]) == (0, 5)
    assert (await caller.json(books.search, {}, query="count=none"))["totalCount"] is None
    assert (await caller.json(books.search, {}, query="size=2&count=estimated"))["totalCount"] >= 0


async def test_an_estimate_tells_nothing_of_other_partners(caller: Caller, books: Books, database_url: str) -> None:
    """The store's statistics are of everybody's rows: what is frequent among them, and between which values."""
    insert = "INSERT INTO shelf.book (partner_id, title, pages) SELECT $1, $2 || i, $3 FROM generate_series(1, 500) i"
    async with connection(database_url) as raw:
        await raw.execute(insert, caller.partner, "mine", 1)
        await raw.execute(insert, caller.partner + 500_000, "theirs", 4711)
        await raw.execute("ANALYZE shelf.book")
    asked = {"filters": [{"filterType": "EQ", "field": "pages", "value": 4711}]}
    found = await caller.json(books.search, asked, query="count=estimated&page=2&size=1")
    assert found["totalCount"] == 0


async def test_an_upsert_leaves_what_the_plan_hides(caller: Caller, books: Books) -> None:
    await a_book(caller.on(Plan.SAAS), books, title="u", email="hidden@x.example")
    context = RequestContext(request_id="r", partner_id=caller.partner, user_id=5, plan=Plan.FREE)
    async with acting_as(context):
        page, created = await books.service.upsert([BookEntry(title="u", pages=1)], ("partner_id", "title"))
    assert (created, page.entries()[0].email) == ([False], None)
    (found,) = (await caller.on(Plan.SAAS).json(books.search, {}))["data"]
    assert (found["email"], found["pages"]) == ("hidden@x.example", 1)


async def test_free_text_finds_records_that_hold_every_word(caller: Caller, books: Books) -> None:
    for title in ("Pride and Prejudice", "Pride of place", "100% wool"):
        await a_book(caller, books, title=title)

    async def titles(text: str) -> list[str]:
        found = await caller.json(books.search, {}, query=f"q={text}&fields=title")
        return [book["title"] for book in found["data"]]

    assert await titles("PRIDE+prej") == ["Pride and Prejudice"]
    assert await titles("0%25") == ["100% wool"]
    assert await titles("_") == []


async def test_a_stream_holds_what_the_search_it_was_asked_with_finds(caller: Caller, books: Books) -> None:
    for title in ("Pride and Prejudice", "Emma"):
        await a_book(caller, books, title=title)
    found: list[str] = []
    async with acting_as(RequestContext(request_id="r", partner_id=caller.partner, plan=caller.plan)):
        async for page in books.service.stream(SearchQuery(text="pride")):
            found += [book.title for book in page.entries()]
    assert found == ["Pride and Prejudice"]
