"""What the framework fills in when a row is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from coffee_core.domain.context import RequestContext


class Ownership:
    """For a table with these columns: the partner, and who wrote, where it has columns for it."""

    __slots__ = ("_created_by", "_updated_by")

    def __init__(self, columns: Collection[str]) -> None:
        self._created_by = "created_by" in columns
        self._updated_by = "updated_by" in columns

    def created(self, values: Mapping[str, object], context: RequestContext, *, scoped: bool) -> dict[str, object]:
        """A new row's values; with `scoped` it belongs to the caller's partner."""
        filled = dict(values)
        if scoped:
            filled["partner_id"] = context.partner()
        if self._created_by:
            filled["created_by"] = context.user_id
        if self._updated_by:
            filled["updated_by"] = context.user_id
        return filled

    def updated(self, values: Mapping[str, object], context: RequestContext) -> Mapping[str, object]:
        """A change's values."""
        return {**values, "updated_by": context.user_id} if self._updated_by else values
