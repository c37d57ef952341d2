"""The wiring of profile collections."""

from coffee_core.domain.plan import Plan
from coffee_core.rest.container import Container, Module, Mounted
from modules.profile_collection.api import CollectionApi, ItemApi
from modules.profile_collection.entity import CollectionEntity, ItemEntity
from modules.profile_collection.entry import CollectionEntry, ItemEntry
from modules.profile_collection.events import CollectionActivity
from modules.profile_collection.manager import CollectionManager, ItemManager
from modules.profile_collection.needs import ProfileNumbers
from modules.profile_collection.service import CollectionService, ItemService


class ProfileCollectionModule:
    """Needs `ProfileNumbers`."""

    name = "profile_collection"
    service = "profile-collection-service"
    migrations = "modules.profile_collection.migrations"

    def mount(self, container: Container) -> Mounted:
        """Collections and their items."""
        dao = container.dao(CollectionEntry, CollectionEntity, CollectionEntity.id)
        item_dao = container.dao(ItemEntry, ItemEntity, ItemEntity.id)
        collections = CollectionManager(dao, item_dao, events=container.events)
        items = ItemManager(
            item_dao,
            dao,
            container.need(ProfileNumbers),  # type: ignore[type-abstract]  # mypy #4717: a Protocol as a key
            events=container.events,
        )
        return Mounted(
            plan=Plan.FREE,
            routes=[
                *CollectionApi(CollectionService(collections), container.rest).routes(),
                *ItemApi(ItemService(items, collections), container.rest).routes(),
            ],
            events=[CollectionActivity],
        )


PROFILE_COLLECTION: Module = ProfileCollectionModule()
