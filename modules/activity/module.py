"""The wiring of activity."""

from coffee_core.domain.plan import Plan
from coffee_core.rest.api import ApiOptions
from coffee_core.rest.container import Container, Job, Listener, Module, Mounted
from modules.activity.entity import ActivityEntity
from modules.activity.entry import ActivityEntry
from modules.activity.events import ActivityEvent
from modules.activity.manager import ActivityManager
from modules.activity.settings import ActivitySettings

DAY = 86_400.0


class ActivityModule:
    """Needs nobody; fed by messages."""

    name = "activity"
    service = "activity-service"
    migrations = "modules.activity.migrations"

    def mount(self, container: Container) -> Mounted:
        """Search and create; the listener; the clean-up."""
        dao = container.dao(ActivityEntry, ActivityEntity, ActivityEntity.id)
        manager = ActivityManager(ActivityEntry, dao, events=container.events)
        settings = container.settings(ActivitySettings)

        async def forget() -> None:
            await manager.forget(settings.keep_days)

        return Mounted(
            plan=Plan.FREE,
            routes=container.api(
                manager, int, "activity", options=ApiOptions(operations={"create", "search"})
            ).routes(),
            listeners=[
                Listener(topic=ActivityEvent.topic, event=ActivityEvent, handle=manager.keep, name="activity.keep")
            ],
            jobs=[Job(name="activity_forget", every_seconds=DAY, run=forget)],
        )


ACTIVITY: Module = ActivityModule()
