"""What this module announces."""

from typing import Any, ClassVar

from coffee_core.domain.event import Event


class DiscoveryActivity(Event):
    """A search for creators, for the partner's list of recent activity."""

    topic: ClassVar[str] = "coffee.dx___activity_tracker_rk"
    type: ClassVar[str] = "activity"

    title: str
    activity_type: str = "DISCOVERY"
    params: dict[str, Any] = {}
    filters: dict[str, Any] = {}
    result_count: int | None = None
    platform: str | None = None
