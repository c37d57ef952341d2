"""The two resources: one table, one Entry, one natural key and one known layout each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, Literal

from typing_extensions import TypeVar

from coffee_core.rest.api import Api, ApiOptions
from coffee_core.rest.container import Container
from coffee_core.rest.transfer.importer import Importer
from coffee_core.rest.transfer.mapping import ImportMapping
from modules.social_profile.entity import InstagramEntity, ProfileEntity, YoutubeEntity
from modules.social_profile.entry import InstagramEntry, ProfileEntry, YoutubeEntry
from modules.social_profile.mappings import GLOBAL_YOUTUBE_STATISTICS, INSTAGRAM_TOP

PlatformName = Literal["instagram", "youtube"]
ProfileEntryT = TypeVar("ProfileEntryT", bound=ProfileEntry)
"""What goes over the wire."""
ProfileEntityT = TypeVar("ProfileEntityT", bound=ProfileEntity)
"""What is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(Generic[ProfileEntryT, ProfileEntityT]):
    """What there is to say about one platform's profiles; the rest is generic."""

    name: PlatformName
    entry: type[ProfileEntryT]
    entity: type[ProfileEntityT]
    key: str
    mappings: Sequence[ImportMapping]

    def api(self, container: Container) -> Api[ProfileEntryT, ProfileEntityT, int]:
        """The routes' handlers. Rows belong to no partner: every partner reads, operators write."""
        manager = container.manager(self.entry, self.entity, self.entity.id)
        options = ApiOptions(natural_key=(self.key,), mappings=self.mappings)
        return container.api(manager, int, self.name, options=options)

    def importer(self, container: Container) -> Importer[ProfileEntryT, ProfileEntityT, int]:
        """The import without HTTP: for commands and the demo."""
        return Importer(container.manager(self.entry, self.entity, self.entity.id), (self.key,), container.rest)


INSTAGRAM: Final = Resource(
    name="instagram",
    entry=InstagramEntry,
    entity=InstagramEntity,
    key="ig_id",
    mappings=(INSTAGRAM_TOP,),
)
YOUTUBE: Final = Resource(
    name="youtube",
    entry=YoutubeEntry,
    entity=YoutubeEntity,
    key="channel_id",
    mappings=(GLOBAL_YOUTUBE_STATISTICS,),
)
