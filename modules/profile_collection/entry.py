"""Collections and their items as callers see them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from coffee_core.domain.entry import Entry, Filterable, ReadOnly, Related, Searchable

Text = Annotated[str, Field(max_length=200)]
ShortList = Annotated[list[Text], Field(max_length=100)]


class Source(StrEnum):
    """Where a collection was made."""

    SAAS = "SAAS"
    SAAS_AT = "SAAS-AT"
    GCC_CAMPAIGN = "GCC_CAMPAIGN"
    CAMPAIGN = "CAMPAIGN"


class Platform(StrEnum):
    """Where a profile lives."""

    INSTAGRAM = "INSTAGRAM"
    YOUTUBE = "YOUTUBE"


class CollectionEntry(Entry):
    """A named set of profiles. Whoever knows its `share_id` may read it while `share_enabled`."""

    id: Annotated[int | None, ReadOnly()] = None
    share_id: Annotated[str | None, ReadOnly()] = None
    name: Annotated[str, Field(min_length=1, max_length=200), Searchable(), Filterable()]
    description: Annotated[str | None, Field(max_length=5000), Searchable()] = None
    categories: ShortList = []
    tags: ShortList = []
    featured: bool = False
    analytics_enabled: bool = False
    disabled_metrics: ShortList = []
    source: Source = Source.SAAS
    source_id: Text | None = None
    campaign_id: int | None = None
    custom_columns: Annotated[list[dict[str, Any]], Field(max_length=100)] = []
    ordered_columns: ShortList = []
    share_enabled: bool = True
    item_count: Annotated[int | None, Related()] = None
    created_by: Annotated[int | None, ReadOnly()] = None
    created_at: Annotated[datetime | None, ReadOnly()] = None
    updated_at: Annotated[datetime | None, ReadOnly(), Filterable()] = None


class ItemEntry(Entry):
    """One profile in a collection, by its code on the platform: a handle or a channel id.

    `profile_name`, `followers`, `thumbnail` and `engagement_rate` are the profile's own, as they are now; null where
    the profile is not known here.
    """

    id: Annotated[int | None, ReadOnly()] = None
    collection_id: Annotated[int | None, ReadOnly()] = None
    platform: Platform
    platform_account_code: Annotated[str, Field(min_length=1, max_length=200)]
    rank: Annotated[int | None, Field(ge=0)] = None
    hidden: bool = False
    shortlisting_status: Text | None = None
    brand_selection_status: Text | None = None
    brand_selection_remarks: Annotated[str | None, Field(max_length=5000)] = None
    custom_columns_data: Annotated[list[dict[str, Any]], Field(max_length=100)] = []
    profile_name: Annotated[str | None, ReadOnly()] = None
    followers: Annotated[int | None, ReadOnly()] = None
    thumbnail: Annotated[str | None, ReadOnly()] = None
    engagement_rate: Annotated[float | None, ReadOnly()] = None
    created_at: Annotated[datetime | None, ReadOnly()] = None
    updated_at: Annotated[datetime | None, ReadOnly()] = None
