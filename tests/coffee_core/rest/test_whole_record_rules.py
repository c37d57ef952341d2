"""A rule over several fields holds for a change of one of them."""

from __future__ import annotations

from typing import Self

import pytest
from pydantic import model_validator

from coffee_core.domain.errors import InputError
from coffee_core.rest.container import Container
from coffee_core.rest.manager import Manager
from tests.coffee_core.rest.conftest import Caller
from tests.coffee_core.rest.sample import BookEntity, BookEntry


class PricedEntry(BookEntry):
    @model_validator(mode="after")
    def free_books_are_short(self) -> Self:
        if self.price == 0 and (self.pages or 0) > 10:
            raise ValueError("a free book has at most 10 pages")
        return self


async def test_a_patch_is_checked_together_with_what_is_stored(caller: Caller, container: Container) -> None:
    dao = container.dao(PricedEntry, BookEntity, BookEntity.id)
    books = container.api(Manager(PricedEntry, dao), int, "book")
    id = (await caller.json(books.create, {"title": "Emma", "pages": 474, "price": 9}))["data"][0]["id"]
    with pytest.raises(InputError, match="at most 10 pages"):
        await caller.call(books.patch, {"price": 0}, id=id)
    book = (await caller.json(books.patch, {"price": 0, "pages": 10}, id=id))["data"][0]
    assert (book["price"], book["pages"]) == (0, 10)


async def test_a_field_that_nothing_stores_must_be_derived(container: Container) -> None:
    class WithCover(BookEntry):
        cover: str | None = None

    with pytest.raises(TypeError, match=r"has \['cover'\], which BookEntity does not store"):
        Manager(WithCover, container.dao(WithCover, BookEntity, BookEntity.id))


async def test_a_gate_that_the_dao_does_not_know_stops_the_start(container: Container) -> None:
    from coffee_core.rest.dao import Dao

    dao = Dao(BookEntity, BookEntity.id, container.store.provider(BookEntity, BookEntity.id))
    with pytest.raises(TypeError, match="gates_of"):
        Manager(BookEntry, dao)
