"""A partner's activity as callers see it."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from coffee_core.domain.entry import Entry, Filterable, ReadOnly, Searchable


class ActivityEntry(Entry):
    """A search that was made, or work that was done: enough to show it in a list and to do it again.

    `params` and `filters` are what the caller needs for that, in his own shape; `result_count` is how much was found.
    """

    id: Annotated[int | None, ReadOnly()] = None
    title: Annotated[str, Field(min_length=1, max_length=500), Searchable()]
    activity_type: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$", max_length=60), Filterable()]
    params: dict[str, Any] = {}
    filters: dict[str, Any] = {}
    result_count: Annotated[int | None, Field(ge=0)] = None
    platform: Annotated[str | None, Field(max_length=40)] = None
    created_by: Annotated[int | None, ReadOnly()] = None
    created_at: Annotated[datetime | None, ReadOnly(), Filterable()] = None
