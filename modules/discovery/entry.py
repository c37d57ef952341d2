"""Profiles and series as callers see them. Rates, shares and growths are percent."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import Field

from coffee_core.domain.entry import Entry, ReadOnly, Searchable
from coffee_core.domain.plan import Gated, Plan
from modules.discovery.platforms import Platform

PAID_FOR = Gated(Plan.SAAS)
"""Locked on FREE: contact, audience, and estimates of reach and price."""

Text = Annotated[str, Field(max_length=500)]
Key = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Document = dict[str, Any]  # as the source gave it


class ProfileEntry(Entry):
    """A profile in words that fit both platforms; what only one of them knows is null on the other.

    `platformProfileId` is the platform's own id, `profileId` the person's on all platforms, or one made for this row.
    """

    id: Annotated[int | None, ReadOnly()] = None
    platform: str
    platform_profile_id: str
    profile_id: str
    handle: str | None = None
    name: str | None = None
    bio: str | None = None
    thumbnail: str | None = None
    dob: date | None = None
    gender: str | None = None
    location: list[str] = []
    city: str | None = None
    state: str | None = None
    country: str | None = None
    categories: list[str] = []
    languages: list[str] = []
    keywords: list[str] = []
    label: str | None = None
    is_blacklisted: bool = False
    is_verified: bool = False
    profile_type: str | None = None
    followers: int | None = None
    followers_grade: str | None = None
    followers_growth7d: float | None = None
    followers_growth7d_grade: str | None = None
    followers_growth30d: float | None = None
    followers_growth30d_grade: str | None = None
    following: int | None = None
    uploads: int | None = None
    uploads_30d: int | None = None
    uploads_30d_grade: str | None = None
    uploads_per_week: float | None = None
    views: int | None = None
    views_30d: int | None = None
    avg_views: float | None = None
    avg_views_grade: str | None = None
    avg_likes: float | None = None
    avg_comments: float | None = None
    avg_plays: float | None = None
    engagement_rate: float | None = None
    er_grade: str | None = None
    authentic_engagement: float | None = None
    comments_rate: float | None = None
    comments_rate_grade: str | None = None
    likes_spread: float | None = None
    likes_spread_grade: str | None = None
    reaction_rate: float | None = None
    reaction_rate_grade: str | None = None
    country_rank: int | None = None
    category_rank: Document | None = None
    group_key: str | None = None
    similar_profile_group_data: Document | None = None
    linked_socials: Document | None = None
    search_phrase: Annotated[str | None, Searchable()] = None
    flag_contact_info_available: bool = False
    email: Annotated[str | None, PAID_FOR] = None
    phone: Annotated[str | None, PAID_FOR] = None
    audience_gender: Annotated[Document | None, PAID_FOR] = None
    audience_age: Annotated[Document | None, PAID_FOR] = None
    audience_age_gender: Annotated[Document | None, PAID_FOR] = None
    audience_location: Annotated[Document | None, PAID_FOR] = None
    audience_language: Annotated[Document | None, PAID_FOR] = None
    audience_quality_score: Annotated[float | None, PAID_FOR] = None
    audience_quality_grade: Annotated[str | None, PAID_FOR] = None
    est_post_price: Annotated[Document | None, PAID_FOR] = None
    est_reach: Annotated[Document | None, PAID_FOR] = None
    est_impressions: Annotated[Document | None, PAID_FOR] = None
    updated_at: datetime | None = None


class ContentDayEntry(Entry):
    """How a post or video stood on one day. Counts are totals since it was published; tags have no `#`.

    `region` is whose list it was seen in, empty where there is none; `day` 1970-01-01 stands for a day not known.
    """

    id: Annotated[int | None, ReadOnly()] = None
    platform: Platform
    region: Annotated[str, Field(max_length=20)] = ""
    content_id: Key
    day: date
    profile_key: Key
    title: Annotated[str | None, Field(max_length=1000)] = None
    category: Text | None = None
    tags: Annotated[list[Text], Field(max_length=200)] = []
    views: Count | None = None
    likes: Count | None = None
    comments: Count | None = None


class ProfileDayEntry(Entry):
    """How a profile stood on one day: totals, not gains. `profileKey` is the platform's own id of the profile."""

    id: Annotated[int | None, ReadOnly()] = None
    platform: Platform
    profile_key: Key
    day: date
    followers: Count | None = None
    following: Count | None = None
    views: Count | None = None
    plays: Count | None = None
    uploads: Count | None = None
    engagement_rate: Annotated[float | None, Field(ge=0)] = None
