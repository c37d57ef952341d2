"""The wiring of discovery."""

from __future__ import annotations

from dataclasses import replace

from coffee_core.domain.context import OPERATOR_PARTNER, RequestContext
from coffee_core.domain.plan import Plan
from coffee_core.metering.meter import Meter
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.api import Api, ApiOptions
from coffee_core.rest.container import Container, Job, Module, Mounted
from coffee_core.rest.route import Route
from coffee_core.rest.service import Service
from coffee_core.wire.message import Request, Response
from modules.discovery.answers import AudienceEntry
from modules.discovery.api import DiscoveryApi
from modules.discovery.audience import AudienceManager
from modules.discovery.contents import ContentManager, HashtagManager
from modules.discovery.entity import ContentDayEntity, ProfileDayEntity, ProfileEntity
from modules.discovery.entry import ContentDayEntry, ProfileDayEntry, ProfileEntry
from modules.discovery.events import DiscoveryActivity
from modules.discovery.mappings import MAPPINGS
from modules.discovery.needs import ProfileTables
from modules.discovery.platforms import PLATFORMS
from modules.discovery.profile_api import ProfileApi
from modules.discovery.profiles import ProfileManager
from modules.discovery.rollup import Rollup
from modules.discovery.series import SeriesManager
from modules.discovery.service import PageService, ProfileService, SeriesService
from modules.discovery.settings import DiscoverySettings

CONTENT_KEY = ("platform", "profile_key", "region", "content_id", "day")
SNAPSHOT_KEY = ("platform", "profile_key", "day")
FED = ApiOptions(operations={"search", "export", "import"}, natural_key=CONTENT_KEY, mappings=MAPPINGS)


class DiscoveryModule:
    """Needs `ProfileTables` and the `Meter`; keeps its series in ClickHouse."""

    name = "discovery"
    service = "discovery-service"
    migrations = "modules.discovery.migrations"

    def mount(self, container: Container) -> Mounted:
        """Profiles of each platform, their series, and the two tables that feed these."""
        settings, rest = container.settings(DiscoverySettings), container.rest
        tables = container.need(ProfileTables)  # type: ignore[type-abstract]  # mypy #4717: a Protocol as a key
        daos = {
            one: container.dao(ProfileEntry, ProfileEntity, ProfileEntity.id, store=tables.of(one)) for one in PLATFORMS
        }
        profiles = {one: ProfileManager(ProfileEntry, dao, events=container.events) for one, dao in daos.items()}
        services = {one: ProfileService(manager, one, settings) for one, manager in profiles.items()}
        contents, series = content_manager(container), series_manager(container)
        rollup = Rollup(contents.dao, series.dao)
        api = DiscoveryApi(
            {one: ProfileApi(service, rest) for one, service in services.items()},
            PageService(services, container.need(Meter)),
            SeriesService(
                services,
                {one: AudienceManager(AudienceEntry, dao) for one, dao in daos.items()},
                series=series,
                contents=contents,
                hashtags=HashtagManager(contents.entry, contents.dao),
                settings=settings,
            ),
            rest,
        )
        fed = Api(Service(contents), int, "content", settings=rest, options=FED)
        stated = Api(
            Service(series), int, "snapshot", settings=rest, options=replace(FED, natural_key=SNAPSHOT_KEY, mappings=())
        )
        return Mounted(
            plan=Plan.FREE,
            routes=[*api.routes(), *(_rolled_up(route, rollup) for route in fed.routes()), *stated.routes()],
            events=[DiscoveryActivity],
            jobs=[Job(name="discovery_rollup", every_seconds=settings.rollup_seconds, run=lambda: run(rollup))],
        )


def content_manager(container: Container) -> ContentManager:
    """Contents, in ClickHouse."""
    dao = container.dao(ContentDayEntry, ContentDayEntity, ContentDayEntity.id, store=container.analytics)
    return ContentManager(ContentDayEntry, dao)


def series_manager(container: Container) -> SeriesManager:
    """Snapshots, in ClickHouse."""
    dao = container.dao(ProfileDayEntry, ProfileDayEntity, ProfileDayEntity.id, store=container.analytics)
    return SeriesManager(ProfileDayEntry, dao)


async def run(rollup: Rollup) -> None:
    """As the platform itself: series belong to no partner."""
    operator = RequestContext(request_id="rollup", partner_id=OPERATOR_PARTNER, plan=Plan.PAID)
    async with acting_as(operator):
        await rollup.run()


def _rolled_up(route: Route, rollup: Rollup) -> Route:
    """An import is answered when the series that follow from it are there, too."""
    if route.name != "content_import":
        return route

    async def handle(request: Request) -> Response:
        response = await route.handler(request)
        await rollup.run()
        return response

    return replace(route, handler=handle)


DISCOVERY: Module = DiscoveryModule()
