"""One use case a method: opens the unit of work where more than one statement is written, and makes the envelope."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Generic

import orjson

from coffee_core.domain.context import current
from coffee_core.domain.ids import EntityT, EntryT, IdT
from coffee_core.domain.plan import Plan
from coffee_core.domain.search import CountMode, SearchQuery
from coffee_core.persistence.unit_of_work import begin_transaction
from coffee_core.rest.manager import Manager
from coffee_core.rest.page import Envelope, Page
from coffee_core.rest.patch import Patch


class Service(Generic[EntryT, EntityT, IdT]):
    """Reads run alone; a write that is one statement commits by itself; every other write runs in a transaction that
    the pipeline commits before the answer's first byte."""

    def __init__(self, manager: Manager[EntryT, EntityT, IdT]) -> None:
        self.manager = manager
        self._locked = {
            plan: orjson.dumps(manager.locked(plan)) if manager.locked(plan) else b""
            for plan in Plan
        }  # fmt: skip

    def envelope(self, page: Page[EntryT], *, total: int | None = None, message: str = "") -> Envelope[EntryT]:
        """A page with what is said about it."""
        return Envelope(
            page,
            total=total,
            locked=self._locked[current().plan],
            message=orjson.dumps(message) if message else b'""',
        )

    def _write(self, *, several: bool = False) -> None:
        if several or self.manager.writes_more or self.manager.general or self.manager.checks_whole:
            begin_transaction()

    async def get(self, id: IdT, fields: tuple[str, ...] | None = None) -> Envelope[EntryT]:
        """One record."""
        return self.envelope(await self.manager.get(id, fields), total=1)

    async def get_many(self, ids: Sequence[IdT], fields: tuple[str, ...] | None = None) -> Envelope[EntryT]:
        """Those of the records that are there."""
        page = await self.manager.get_many(ids, fields)
        return self.envelope(page, total=page.count)

    async def search(self, query: SearchQuery) -> Envelope[EntryT]:
        """One page of what matches, and how many match in all."""
        page = await self.manager.search(query)
        return self.envelope(page, total=await self._total(query, page))

    async def _total(self, query: SearchQuery, page: Page[EntryT]) -> int | None:
        if query.count is CountMode.NONE:
            return None
        before = (query.page - 1) * query.size
        if query.after is None and page.count < query.size and (page.count or not before):
            return before + page.count  # the last page says it all
        return await self.manager.count(query)

    async def create(self, entry: EntryT) -> Envelope[EntryT]:
        """A new record."""
        self._write()
        return self.envelope(await self.manager.create(entry), total=1)

    async def replace(self, id: IdT, entry: EntryT, version: int | None) -> Envelope[EntryT]:
        """Every writable field of a record."""
        self._write()
        return self.envelope(await self.manager.replace(id, entry, version), total=1)

    async def patch(self, id: IdT, patch: Patch[EntryT], version: int | None) -> Envelope[EntryT]:
        """Some fields of a record."""
        self._write()
        return self.envelope(await self.manager.patch(id, patch, version), total=1)

    async def delete(self, id: IdT, version: int | None) -> None:
        """Delete (or hide) a record."""
        self._write()
        await self.manager.delete(id, version)

    async def restore(self, id: IdT) -> Envelope[EntryT]:
        """Bring back a hidden record."""
        self._write(several=True)
        return self.envelope(await self.manager.restore(id), total=1)

    async def upsert(self, entries: Sequence[EntryT], key: Sequence[str]) -> tuple[Envelope[EntryT], list[bool]]:
        """Many records by a unique key, all or none."""
        self._write(several=True)
        page, created = await self.manager.upsert(entries, key)
        return self.envelope(page, total=page.count), created

    async def stream(self, query: SearchQuery) -> AsyncIterator[Page[EntryT]]:
        """Everything that matches."""
        async for page in self.manager.stream(query):
            yield page
