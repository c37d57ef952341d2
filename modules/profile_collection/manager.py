"""The rules of collections and items."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Sequence
from typing import TypeAlias

from coffee_core.domain.errors import NotFoundError, RuleError
from coffee_core.domain.event import Event, EventSink
from coffee_core.domain.search import SearchQuery, all_of, path
from coffee_core.rest.announcing import Change
from coffee_core.rest.dao import Dao
from coffee_core.rest.manager import Manager
from coffee_core.rest.page import Page
from coffee_core.rest.related import Counted
from modules.profile_collection.entity import CollectionEntity, ItemEntity
from modules.profile_collection.entry import CollectionEntry, ItemEntry
from modules.profile_collection.events import CollectionActivity
from modules.profile_collection.needs import ProfileNumbers

ITEM_KEY = ("collection_id", "platform", "platform_account_code")
ITEMS_PER_COLLECTION = 10_000


class CollectionManager(Manager[CollectionEntry, CollectionEntity, int]):
    """Tells the activity list about new collections; counts their items; opens them by their share link."""

    def __init__(self, dao: Dao[CollectionEntity, int], items: Dao[ItemEntity, int], *, events: EventSink) -> None:
        counted = Counted(items, of=CollectionEntity.id, by=ItemEntity.collection_id)
        super().__init__(CollectionEntry, dao, events=events, related={"item_count": counted})

    def announces(self, change: Change, entry: CollectionEntry) -> Event | None:
        """A new collection is recent work of its partner."""
        if change != "created":
            return None
        return CollectionActivity(
            title=entry.name,
            activity_type="PROFILE_COLLECTION",
            params={"collectionId": entry.id, "action": "created"},
        )

    async def by_share_id(self, share_id: str) -> Page[CollectionEntry]:
        """The collection behind a share link, whoever asks: knowing the link is the permission."""
        where = all_of(path(CollectionEntity.share_id).eq(share_id), path(CollectionEntity.share_enabled).eq(True))
        rows = await self.dao.across_partners().search(SearchQuery(where=where, size=1), self.projection())
        if not rows.rows:
            raise NotFoundError("there is no collection behind this link")
        return await self.page(rows, single=True)

    async def renew_link(self, id: int) -> Page[CollectionEntry]:
        """Give the collection a new link; the old one stops working."""
        rows = await self.dao.update(id, {"share_id": secrets.token_hex(16)}, projection=self.projection())
        if not rows.rows:
            raise self.missing(id)
        return await self.page(rows, single=True)


Items: TypeAlias = Sequence[ItemEntry]


class ItemManager(Manager[ItemEntry, ItemEntity, int]):
    """Items belong to a collection of the same partner and show their profile's current numbers."""

    def __init__(
        self,
        dao: Dao[ItemEntity, int],
        collections: Dao[CollectionEntity, int],
        numbers: ProfileNumbers,
        *,
        events: EventSink,
    ) -> None:
        super().__init__(ItemEntry, dao, events=events)
        self._collections = collections
        self._numbers = numbers

    def to_entity(self, entry: ItemEntry) -> ItemEntity:
        """With the collection, which the path names and not the body."""
        entity = super().to_entity(entry)
        if entry.collection_id is not None:
            entity.collection_id = entry.collection_id
        return entity

    async def enrich(self, entries: Sequence[ItemEntry]) -> None:
        """One look-up a platform, however many items."""
        codes: dict[str, set[str]] = defaultdict(set)
        for entry in entries:
            codes[entry.platform].add(entry.platform_account_code)
        found = {platform: await self._numbers.numbers(platform, sorted(wanted)) for platform, wanted in codes.items()}
        for entry in entries:
            profile = found[entry.platform].get(entry.platform_account_code)
            if profile is not None:
                entry.profile_name = profile.name
                entry.followers = profile.followers
                entry.thumbnail = profile.thumbnail
                entry.engagement_rate = profile.engagement_rate

    async def _into(self, collection_id: int, entries: Items) -> None:
        """The caller's own collection, locked so that its bound holds with several writers."""
        narrow = self._collections.projection(("id",))
        if not (await self._collections.get(collection_id, narrow, for_update=True)).rows:
            raise NotFoundError(f"there is no profile_collection {collection_id}")
        there = await self.dao.count(SearchQuery(where=path(ItemEntity.collection_id).eq(collection_id)))
        if there + len(entries) > ITEMS_PER_COLLECTION:
            raise RuleError(f"a collection holds at most {ITEMS_PER_COLLECTION} items; this one has {there}")
        for entry in entries:
            entry.collection_id = collection_id

    async def add(self, collection_id: int, entries: Items) -> Page[ItemEntry]:
        """New items; one that is in the collection already is a `ConflictError`, and none is added."""
        await self._into(collection_id, entries)
        page, _ = await self.upsert(entries, ())
        return page

    async def put(self, collection_id: int, entries: Items) -> Page[ItemEntry]:
        """Items as given, whether they were there or not. Answers all of them as they are now."""
        await self._into(collection_id, entries)
        await self.upsert(entries, ITEM_KEY)
        wanted = path(ItemEntity.platform_account_code).within([entry.platform_account_code for entry in entries])
        where = all_of(path(ItemEntity.collection_id).eq(collection_id), wanted)
        rows = await self.dao.search(SearchQuery(where=where, size=len(entries) * 2), self.projection())
        return await self.page(rows)

    async def remove(self, collection_id: int, ids: Sequence[int]) -> int:
        """Take items out; answers how many there were."""
        where = all_of(path(ItemEntity.collection_id).eq(collection_id), path(ItemEntity.id).within(ids))
        return await self.dao.delete_where(where)

    async def behind_link(self, collection_id: int, query: SearchQuery) -> Page[ItemEntry]:
        """The visible items of a shared collection: the caller has shown the link that opens it."""
        where = all_of(path(ItemEntity.collection_id).eq(collection_id), path(ItemEntity.hidden).eq(False))
        query = SearchQuery(where=where, sort_by="rank", page=query.page, size=query.size)
        rows = await self.dao.across_partners().search(query, self.projection())
        return await self.page(rows, query=query)
