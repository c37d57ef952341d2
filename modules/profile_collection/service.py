"""Use cases that span collections and items, or more than one statement."""

from __future__ import annotations

from collections.abc import Sequence

from coffee_core.domain.search import CountMode, SearchQuery
from coffee_core.persistence.unit_of_work import begin_transaction
from coffee_core.rest.page import Envelope
from coffee_core.rest.service import Service
from modules.profile_collection.entity import CollectionEntity, ItemEntity
from modules.profile_collection.entry import CollectionEntry, ItemEntry
from modules.profile_collection.manager import CollectionManager, ItemManager


class CollectionService(Service[CollectionEntry, CollectionEntity, int]):
    """Collections."""

    def __init__(self, collections: CollectionManager) -> None:
        super().__init__(collections)
        self._collections = collections

    async def by_share_id(self, share_id: str) -> Envelope[CollectionEntry]:
        """What a share link opens."""
        return self.envelope(await self._collections.by_share_id(share_id), total=1)

    async def renew_link(self, id: int) -> Envelope[CollectionEntry]:
        """A new share link."""
        return self.envelope(await self._collections.renew_link(id), total=1)

    async def recent(self, size: int) -> Envelope[CollectionEntry]:
        """The partner's collections, those written last first."""
        return await self.search(SearchQuery(sort_by="updated_at", descending=True, size=size, count=CountMode.NONE))


class ItemService(Service[ItemEntry, ItemEntity, int]):
    """Items of collections."""

    def __init__(self, items: ItemManager, collections: CollectionManager) -> None:
        super().__init__(items)
        self._items = items
        self._collections = collections

    async def add(self, collection_id: int, entries: Sequence[ItemEntry]) -> Envelope[ItemEntry]:
        """All of them, or none."""
        begin_transaction()
        page = await self._items.add(collection_id, entries)
        return self.envelope(page, total=page.count)

    async def put(self, collection_id: int, entries: Sequence[ItemEntry]) -> Envelope[ItemEntry]:
        """All of them, or none."""
        begin_transaction()
        page = await self._items.put(collection_id, entries)
        return self.envelope(page, total=page.count)

    async def remove(self, collection_id: int, ids: Sequence[int]) -> int:
        """Take items out."""
        return await self._items.remove(collection_id, ids)

    async def behind_link(self, share_id: str, query: SearchQuery) -> Envelope[ItemEntry]:
        """The visible items of a shared collection, by rank."""
        collection = (await self._collections.by_share_id(share_id)).entries()[0]
        assert collection.id is not None
        return self.envelope(await self._items.behind_link(collection.id, query))
