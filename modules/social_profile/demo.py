"""The demo's profiles: invented people and channels, imported as any file is. A second time changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Final

from coffee_core.domain.context import OPERATOR_PARTNER, RequestContext
from coffee_core.domain.plan import Plan
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.container import Container
from coffee_core.rest.transfer.importer import ImportOptions
from coffee_core.rest.transfer.report import ImportReport
from modules.social_profile.mappings import GLOBAL_YOUTUBE_STATISTICS, INSTAGRAM_TOP
from modules.social_profile.resources import INSTAGRAM, YOUTUBE

SAMPLE: Final = "modules.social_profile.sample"


def operator() -> RequestContext:
    """Who imports from a command: the platform itself."""
    return RequestContext(request_id="import", partner_id=OPERATOR_PARTNER, plan=Plan.PAID)


async def load_demo(container: Container) -> None:
    """Profiles with all their fields, then two files with every kind of dirt; what is refused of those stays away."""
    await sample(container)


async def sample(container: Container) -> dict[str, ImportReport]:
    """What became of each sample file, all in one transaction."""
    instagram, youtube = INSTAGRAM.importer(container), YOUTUBE.importer(container)
    dirty_youtube = ImportOptions(mapping=GLOBAL_YOUTUBE_STATISTICS, encoding="latin-1")
    async with acting_as(operator()):
        return {
            "instagram": await instagram.run(_read("instagram.csv"), ImportOptions()),
            "youtube": await youtube.run(_read("youtube.csv"), ImportOptions()),
            "instagram_dirty": await instagram.run(_read("instagram_dirty.csv"), ImportOptions(mapping=INSTAGRAM_TOP)),
            "youtube_dirty": await youtube.run(_read("youtube_dirty.csv"), dirty_youtube),
        }


async def _read(name: str) -> AsyncIterator[bytes]:
    yield files(SAMPLE).joinpath(name).read_bytes()
