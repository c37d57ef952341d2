"""What this module listens to. Whoever announces activity declares a class of the same wire shape (see README.md)."""

from typing import Any, ClassVar

from coffee_core.domain.event import Event


class ActivityEvent(Event):
    """Somebody did something worth remembering; partner and user are the message's."""

    topic: ClassVar[str] = "coffee.dx___activity_tracker_rk"
    type: ClassVar[str] = "activity"

    title: str
    activity_type: str
    params: dict[str, Any] = {}
    filters: dict[str, Any] = {}
    result_count: int | None = None
    platform: str | None = None
