"""The demo's series: invented numbers of the demo's channels, and trending videos with every kind of dirt, imported as
any file is. A second time changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Final

from coffee_core.domain.context import OPERATOR_PARTNER, RequestContext
from coffee_core.domain.errors import UnavailableError
from coffee_core.domain.plan import Plan
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.container import Container
from coffee_core.rest.transfer.importer import Importer, ImportOptions
from coffee_core.rest.transfer.report import ImportReport
from modules.discovery.mappings import INSTAGRAM_POST_REACH, YOUTUBE_TRENDING_2017_TAGS, YOUTUBE_TRENDING_US
from modules.discovery.module import CONTENT_KEY, SNAPSHOT_KEY, content_manager, series_manager
from modules.discovery.rollup import Rollup

SAMPLE: Final = "modules.discovery.sample"


async def load_demo(container: Container) -> None:
    """Without ClickHouse there are no series, and everything else works."""
    try:
        await sample(container)
    except UnavailableError as error:
        print(f"no time series: {error.detail}")  # noqa: T201  # a command's own output


async def sample(container: Container) -> dict[str, ImportReport]:
    """What became of each sample file."""
    contents, series = content_manager(container), series_manager(container)
    of_contents = Importer(contents, CONTENT_KEY, container.rest)
    of_days = Importer(series, SNAPSHOT_KEY, container.rest)
    trending = ImportOptions(mapping=YOUTUBE_TRENDING_US, encoding="windows-1252")
    async with acting_as(RequestContext(request_id="import", partner_id=OPERATOR_PARTNER, plan=Plan.PAID)):
        reports = {
            "snapshots": await of_days.run(_read("snapshots.csv"), ImportOptions()),
            "contents": await of_contents.run(_read("contents.csv"), ImportOptions()),
            "trending": await of_contents.run(_read("trending.csv"), trending),
            "tags": await of_contents.run(_read("tags.csv"), ImportOptions(mapping=YOUTUBE_TRENDING_2017_TAGS)),
            "posts": await of_contents.run(_read("posts.csv"), ImportOptions(mapping=INSTAGRAM_POST_REACH)),
        }
        await Rollup(contents.dao, series.dao).run()
    return reports


async def _read(name: str) -> AsyncIterator[bytes]:
    yield files(SAMPLE).joinpath(name).read_bytes()
