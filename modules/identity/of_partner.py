"""Rows that are reached through their partner, `/partners/{id}/...`: operators write them, a partner reads its own."""

from __future__ import annotations

from coffee_core.domain.context import current
from coffee_core.domain.errors import NotFoundError
from coffee_core.domain.ids import EntityT, EntryT
from coffee_core.domain.search import Condition, FilterType, Node, SearchQuery, all_of
from coffee_core.persistence.unit_of_work import begin_transaction
from coffee_core.rest.dao import Dao
from coffee_core.rest.manager import Manager
from coffee_core.rest.page import Envelope, Page
from coffee_core.rest.patch import Patch
from coffee_core.rest.service import Service
from modules.identity.entity import PartnerEntity


def require_partner(partner_id: int) -> None:
    """The caller's own partner, or any for operators; for everybody else the others do not exist."""
    context = current()
    if context.partner() != partner_id and not context.is_operator:
        raise NotFoundError(f"there is no partner {partner_id}")


class OfPartner(Manager[EntryT, EntityT, int]):
    """The rows of the partner that the path names. The scope is that partner, not the caller's: each method says so
    in its statement, after `require_partner` has let the caller pass."""

    def __init__(self, entry: type[EntryT], dao: Dao[EntityT, int], partners: Dao[PartnerEntity, int]) -> None:
        super().__init__(entry, dao.across_partners())
        self._partners = partners

    async def written(self, partner_id: int, entry: EntryT | None) -> None:
        """Runs after a row is written (`entry` as it is now) or deleted (None), in the same transaction."""

    async def all_of(self, partner_id: int, query: SearchQuery) -> tuple[Page[EntryT], int]:
        """A page of the partner's rows, and how many there are."""
        query = SearchQuery(where=_of(partner_id), page=query.page, size=query.size)
        return await self.search(query), await self.count(query)

    async def one(self, partner_id: int, id: int) -> Page[EntryT]:
        """One of the partner's rows."""
        where = all_of(_of(partner_id), Condition(FilterType.EQ, "id", id))
        rows = await self.dao.search(SearchQuery(where=where, size=1), self.projection())
        if not rows.rows:
            raise self.missing(id)
        return await self.page(rows, single=True)

    async def add(self, partner_id: int, entry: EntryT) -> Page[EntryT]:
        """A new row."""
        if not (await self._partners.get(partner_id)).rows:
            raise NotFoundError(f"there is no partner {partner_id}")
        await self.on_create(entry)
        rows = await self.dao.insert({**self.values_of(entry), "partner_id": partner_id}, self.projection())
        page = await self.page(rows, single=True)
        await self.written(partner_id, page.entries()[0])
        return page

    async def change(self, partner_id: int, id: int, patch: Patch[EntryT], version: int | None) -> Page[EntryT]:
        """Some fields of a row."""
        await self.one(partner_id, id)  # a row never changes its partner: what is found stays the partner's
        page = await self.patch(id, patch, version)
        await self.written(partner_id, page.entries()[0])
        return page

    async def remove(self, partner_id: int, id: int, version: int | None) -> None:
        """Delete a row."""
        await self.one(partner_id, id)
        await self.delete(id, version)
        await self.written(partner_id, None)


def _of(partner_id: int) -> Node:
    return Condition(FilterType.EQ, "partner_id", partner_id)


class OfPartnerService(Service[EntryT, EntityT, int]):
    """Reads for the partner and operators, writes for operators; a write is one transaction."""

    def __init__(self, manager: OfPartner[EntryT, EntityT]) -> None:
        super().__init__(manager)
        self._rows = manager

    async def all_of(self, partner_id: int, query: SearchQuery) -> Envelope[EntryT]:
        """A page of the partner's rows."""
        require_partner(partner_id)
        page, total = await self._rows.all_of(partner_id, query)
        return self.envelope(page, total=total)

    async def one(self, partner_id: int, id: int) -> Envelope[EntryT]:
        """One row."""
        require_partner(partner_id)
        return self.envelope(await self._rows.one(partner_id, id), total=1)

    async def add(self, partner_id: int, entry: EntryT) -> Envelope[EntryT]:
        """A new row."""
        begin_transaction()
        return self.envelope(await self._rows.add(partner_id, entry), total=1)

    async def change(self, partner_id: int, id: int, patch: Patch[EntryT], version: int | None) -> Envelope[EntryT]:
        """Some fields of a row."""
        begin_transaction()
        return self.envelope(await self._rows.change(partner_id, id, patch, version), total=1)

    async def remove(self, partner_id: int, id: int, version: int | None) -> None:
        """Delete a row."""
        begin_transaction()
        await self._rows.remove(partner_id, id, version)
