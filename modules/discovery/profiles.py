"""Search: profiles where they are stored, filtered, sorted and counted there."""

from __future__ import annotations

from coffee_core.domain.aggregation import Aggregation, count, group
from coffee_core.domain.errors import NotFoundError
from coffee_core.domain.search import Condition, FilterType, Node, SearchQuery, any_of, path
from coffee_core.rest.manager import Manager
from coffee_core.rest.page import Page
from coffee_core.rest.rows import Rows
from modules.discovery.answers import LocationEntry
from modules.discovery.criteria import Filter
from modules.discovery.entity import ProfileEntity
from modules.discovery.entry import ProfileEntry
from modules.discovery.events import DiscoveryActivity
from modules.discovery.platforms import Platform

PLACES = {"CITY": ProfileEntity.city, "STATE": ProfileEntity.state, "COUNTRY": ProfileEntity.country}
SHOWN_OF_TEXT = 80


class ProfileManager(Manager[ProfileEntry, ProfileEntity, int]):
    """The profiles of one platform."""

    async def rows_of(self, code: str, fields: tuple[str, ...] | None = None) -> Rows[ProfileEntity]:
        """The row that a caller means: by the platform's own id, else by the row's number. None is no row."""
        own = path(ProfileEntity.platform_profile_id).eq(code)
        where: Node = own
        if code.isascii() and code.isdigit() and len(code) < 19:
            where = any_of(own, path(ProfileEntity.id).eq(int(code)))
        projection = self.projection() if fields is None else self.dao.projection(fields)
        rows = await self.dao.search(SearchQuery(where=where, size=2), projection)
        at = projection.columns.index("platform_profile_id")
        return Rows(projection, sorted(rows.rows, key=lambda row: row[at] != code)[:1])

    async def one(self, code: str) -> Page[ProfileEntry]:
        """A profile's page; `NotFoundError` if there is none."""
        rows = await self.rows_of(code)
        if not rows.rows:
            raise NotFoundError(f"there is no profile {code[:200]}")
        return await self.page(rows, single=True)

    async def of_person(self, profile_id: str) -> Rows[ProfileEntity]:
        """The profiles that a person has on this platform."""
        where = path(ProfileEntity.profile_id).eq(profile_id)
        return await self.dao.search(SearchQuery(where=where, size=10), self.projection())

    async def key_of(self, code: str) -> str | None:
        """The platform's own id of the profile that is meant."""
        rows = await self.rows_of(code, ("platform_profile_id",))
        return str(rows.rows[0][0]) if rows.rows else None

    async def similar_to(self, code: str, factor: float) -> list[Filter]:
        """What makes another profile similar: the same group, or a category in common and as many followers, more
        or less by `factor`."""
        fields = ("platform_profile_id", "followers", "categories", "group_key", "country")
        rows = await self.rows_of(code, fields)
        if not rows.rows:
            raise NotFoundError(f"there is no profile {code[:200]}")
        (base,) = self.dao.entities(rows)
        alike: list[Filter] = []
        if base.categories:
            alike.append({"filterType": "ARRAY_OVERLAPS", "field": "categories", "value": base.categories})
        if base.followers is not None:
            between = [int(base.followers / factor), int(base.followers * factor) + 1]
            alike.append({"filterType": "BETWEEN", "field": "followers", "value": between})
        kin: list[Filter] = [{"and": alike}] if alike else []
        if base.group_key is not None:
            kin.append({"filterType": "EQ", "field": "groupKey", "value": base.group_key})
        if not kin:  # nothing is known that another could have in common with it
            kin.append({"filterType": "IN", "field": "id", "value": []})
        return [{"filterType": "NE", "field": "id", "value": base.id}, {"or": kin}]

    async def locations(self, kind: str, text: str, size: int) -> list[LocationEntry]:
        """The places of a kind in which the profiles live, those with the most first."""
        column = PLACES[kind]
        where: Node = path(column).not_null()
        if text:
            escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            where = Condition(FilterType.ILIKE, column.key, f"%{escaped}%")
        wanted = Aggregation(by=(group(column),), measures=(count(),), where=where, order=1, descending=True, size=size)
        rows = await self.dao.aggregate(wanted)
        return [LocationEntry(name=row[0], type=kind, profiles=row[1]) for row in rows]

    def announce(
        self, platform: Platform, query: SearchQuery, filters: list[object], found: int | None, *, similar_to: str = ""
    ) -> None:
        """Tell the activity list what was looked for."""
        what = f"similar to {similar_to[:SHOWN_OF_TEXT]}" if similar_to else (query.text or "")[:SHOWN_OF_TEXT]
        sort = {"sortBy": self.fields[query.sort_by].wire, "sortDir": "DESC" if query.descending else "ASC"}
        params = sort | ({"q": query.text} if query.text else {}) | ({"similarTo": similar_to} if similar_to else {})
        title = f"{platform.title()} profiles" + (f": {what}" if what else "")
        self.raise_event(
            DiscoveryActivity(
                title=title, params=params, filters={"filters": filters}, result_count=found, platform=platform
            )
        )
