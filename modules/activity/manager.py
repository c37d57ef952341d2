"""How activity comes in and how long it stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from coffee_core.domain.errors import RuleError
from coffee_core.domain.search import SearchQuery, path
from coffee_core.rest.manager import Manager
from modules.activity.entity import ActivityEntity
from modules.activity.entry import ActivityEntry
from modules.activity.events import ActivityEvent

FORGET_AT_ONCE = 5000
"""Rows that one statement of the clean-up deletes."""


class ActivityManager(Manager[ActivityEntry, ActivityEntity, int]):
    """Keeps what is announced as if the caller had posted it."""

    async def keep(self, event: ActivityEvent) -> None:
        """Store an event; one that breaks the Entry's rules is a `RuleError` that names the fields."""
        try:
            entry = ActivityEntry.model_validate(event.model_dump())
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise RuleError(f"this is no activity: {wrong}") from error
        await self.create(entry)

    async def forget(self, days: int) -> int:
        """Delete, for every partner, what is older than so many days; answers how much."""
        everybody = self.dao.across_partners()  # age, and not the owner, decides
        old = path(ActivityEntity.created_at).lt(datetime.now(UTC) - timedelta(days=days))
        oldest = SearchQuery(where=old, sort_by="created_at", size=FORGET_AT_ONCE)
        count = 0
        while ids := [
            row[0] for row in (await everybody.search(oldest, everybody.projection(("id",), ("created_at",)))).rows
        ]:
            count += await everybody.delete_where(path(ActivityEntity.id).within(ids))
        return count
