"""What the contract's tests work with: the sample rows of one partner, in the store that is held to the contract."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from coffee_core.domain.context import RequestContext
from coffee_core.domain.search import EVERYTHING, Cursor, Node, SearchQuery
from coffee_core.persistence.unit_of_work import UnitOfWork, acting_as, begin_transaction
from coffee_core.rest.container import Store
from coffee_core.rest.dao import Dao
from coffee_core.rest.dao_provider import DaoProvider, Features
from coffee_core.rest.rows import Rows
from coffee_core.testing.store_contract.sample import Note, Sample

MOST_PAGES = 100
"""More than any test of the contract needs."""


class Bench:
    """One partner's view. Every call is a request of its own, but inside `transaction()`."""

    def __init__(self, store: Store, features: Features, partner: int | None = None) -> None:
        self.store = store
        self.features = features
        self.partner = self.new_partner() if partner is None else partner
        self.provider: DaoProvider[Sample, int] = store.provider(Sample, Sample.id)
        self.dao = Dao(Sample, Sample.id, self.provider, searchable=("code", "title"))
        self.notes = Dao(Note, Note.id, store.provider(Note, Note.id))

    @staticmethod
    def new_partner() -> int:
        """A partner that no other test has."""
        return secrets.randbelow(1 << 40) + 1

    def of(self, partner: int) -> Bench:
        """The same store as another partner sees it."""
        return Bench(self.store, self.features, partner)

    def needs(self, **wanted: bool) -> None:
        """Skip the test, saying why, where the store does not have a feature."""
        for feature in wanted:
            if not getattr(self.features, feature):
                pytest.skip(f"this store declares that it has no {feature.replace('_', ' ')}")

    def acting(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """One request of this partner."""
        return acting_as(RequestContext(request_id="contract", partner_id=self.partner, user_id=1))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[UnitOfWork]:
        """One request that writes more than one statement."""
        async with self.acting() as work:
            begin_transaction()
            yield work

    # -- rows; values are of any column type

    def values(self, code: str = "", **values: Any) -> dict[str, Any]:
        """A valid row; everything is given, so that a row of another store can be the same."""
        return {"code": code or secrets.token_hex(6), "uid": uuid.uuid4(), **values}

    async def add(self, code: str = "", **values: Any) -> Sample:
        """Insert one row."""
        async with self.acting():
            (sample,) = self.dao.entities(await self.dao.insert(self.values(code, **values)))
            return sample

    async def add_all(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows in this order, in one statement. All of them name the same columns."""
        async with self.acting():
            await self.dao.upsert(rows, ())

    async def get(self, id: int) -> Sample | None:
        """The row, if this partner has it."""
        async with self.acting():
            return next(iter(self.dao.entities(await self.dao.get(id))), None)

    async def change(self, id: int, *, version: int | None = None, **values: Any) -> Sample | None:
        """Update one row."""
        async with self.acting():
            return next(iter(self.dao.entities(await self.dao.update(id, values, version=version))), None)

    async def remove(self, id: int, *, version: int | None = None) -> bool:
        """Delete one row (softly: a Sample has `enabled`)."""
        async with self.acting():
            return await self.dao.delete(id, version=version)

    async def upsert(self, rows: Sequence[Mapping[str, Any]], *key: str) -> dict[str, bool]:
        """Which codes were written, and whether each was created."""
        async with self.acting():
            written, created = await self.dao.upsert(rows, key)
            return {one.code: new for one, new in zip(self.dao.entities(written), created, strict=True)}

    async def search(self, query: SearchQuery) -> list[Sample]:
        """One page."""
        async with self.acting():
            return self.dao.entities(await self.dao.search(query))

    async def all(self) -> list[Sample]:
        """Every row, by id."""
        return await self.search(SearchQuery(size=10_000))

    async def codes(self, where: Node = EVERYTHING, **query: Any) -> list[str]:
        """The codes of one page, in its order."""
        return [one.code for one in await self.search(SearchQuery(where=where, **query))]

    async def count(self, where: Node = EVERYTHING, **query: Any) -> int:
        """How many match."""
        async with self.acting():
            return await self.dao.count(SearchQuery(where=where, **query))

    async def pages(self, where: Node = EVERYTHING, *, size: int, **query: Any) -> list[list[Sample]]:
        """All pages by cursor, as a caller would walk them."""
        pages: list[list[Sample]] = []
        place: Cursor | None = None
        for _ in range(MOST_PAGES):
            page = await self.search(SearchQuery(where=where, size=size, after=place, **query))
            pages.append(page)
            if len(page) < size:
                return pages
            place = Cursor(getattr(page[-1], query.get("sort_by", "id")), page[-1].id)
        pytest.fail(f"after {MOST_PAGES} pages there are still more: a row comes again")

    async def pages_back(
        self, forth: Sequence[Sequence[Sample]], where: Node = EVERYTHING, *, size: int, **query: Any
    ) -> list[list[Sample]]:
        """The pages before the last of `forth`, in the same order, as a caller would walk them back from there."""
        pages: list[list[Sample]] = []
        sort_by = query.get("sort_by", "id")
        if len(forth) < 2:
            return pages
        row = forth[-2][-1]
        place = Cursor(getattr(row, sort_by), row.id, backwards=True)
        for _ in range(MOST_PAGES):
            page = await self.search(SearchQuery(where=where, size=size, after=place, **query))
            if page:
                pages.insert(0, page)
            if len(page) < size:
                return pages
            place = Cursor(getattr(page[0], sort_by), page[0].id, before=True, backwards=True)
        pytest.fail(f"after {MOST_PAGES} pages back there are still more: a row comes again")

    async def streamed(self, where: Node = EVERYTHING, **query: Any) -> list[str]:
        """The codes of everything that matches, as an export reads it."""
        async with self.acting():
            found: list[Rows[Sample]] = [rows async for rows in self.dao.stream(SearchQuery(where=where, **query))]
            return [one.code for rows in found for one in self.dao.entities(rows)]
