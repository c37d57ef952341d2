"""Profiles as callers see them. Rates and growths are percent; documents keep the keys that they came with."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import Field

from coffee_core.domain.entry import Entry, Filterable, ReadOnly, Searchable
from coffee_core.domain.plan import Gated, Plan

PAID_FOR = Gated(Plan.SAAS)
"""Locked on FREE: contact, audience, and every estimate of reach and price (with their grades, which would tell)."""

Text = Annotated[str, Field(max_length=500)]
Code = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Texts = Annotated[list[Text], Field(max_length=200)]
Grade = Annotated[str, Field(max_length=20)]
Document = dict[str, Any]  # as the source gave it: its shape is the source's own


class ProfileEntry(Entry):
    """What profiles of both platforms have."""

    id: Annotated[int | None, ReadOnly()] = None
    thumbnail: Annotated[str | None, Field(max_length=2000)] = None
    dob: date | None = None
    gender: Text | None = None
    location: Annotated[Texts, Filterable()] = []
    city: Annotated[Text | None, Filterable()] = None
    state: Annotated[Text | None, Filterable()] = None
    country: Annotated[Text | None, Filterable()] = None
    categories: Annotated[Texts, Filterable()] = []
    languages: Annotated[Texts, Filterable()] = []
    keywords: Annotated[Texts, Filterable()] = []
    label: Text | None = None
    search_phrase: Annotated[str | None, ReadOnly(), Searchable()] = None
    is_blacklisted: bool = False
    is_verified: bool = False
    profile_type: Text | None = None
    profile_id: Text | None = None
    followers: Annotated[Count | None, Filterable()] = None
    followers_grade: Grade | None = None
    followers_growth7d: float | None = None
    followers_growth7d_grade: Grade | None = None
    followers_growth30d: Annotated[float | None, Filterable()] = None
    followers_growth30d_grade: Grade | None = None
    avg_views: float | None = None
    avg_views_grade: Grade | None = None
    uploads_30d: Count | None = None
    uploads_30d_grade: Grade | None = None
    engagement_rate: Annotated[float | None, Filterable()] = None
    er_grade: Grade | None = None
    authentic_engagement: float | None = None
    country_rank: Count | None = None
    category_rank: Document | None = None
    group_key: Text | None = None
    similar_profile_group_data: Document | None = None
    linked_socials: Document | None = None
    flag_contact_info_available: Annotated[bool, ReadOnly()] = False
    email: Annotated[Text | None, PAID_FOR] = None
    phone: Annotated[Text | None, PAID_FOR] = None
    audience_gender: Annotated[Document | None, PAID_FOR] = None
    audience_age: Annotated[Document | None, PAID_FOR] = None
    audience_age_gender: Annotated[Document | None, PAID_FOR] = None
    audience_location: Annotated[Document | None, PAID_FOR] = None
    audience_language: Annotated[Document | None, PAID_FOR] = None
    audience_quality_score: Annotated[float | None, PAID_FOR] = None
    audience_quality_grade: Annotated[Grade | None, PAID_FOR] = None
    est_post_price: Annotated[Document | None, PAID_FOR] = None
    est_reach: Annotated[Document | None, PAID_FOR] = None
    est_impressions: Annotated[Document | None, PAID_FOR] = None
    enabled: Annotated[bool, ReadOnly()] = True
    created_at: Annotated[datetime | None, ReadOnly()] = None
    updated_at: Annotated[datetime | None, ReadOnly()] = None


class InstagramEntry(ProfileEntry):
    """A profile on Instagram, found by `ig_id`."""

    ig_id: Annotated[Code, Filterable()]
    handle: Annotated[Code, Filterable()]
    name: Annotated[str | None, Field(max_length=500)] = None
    bio: Annotated[str | None, Field(max_length=5000)] = None
    following: Count | None = None
    post_count: Count | None = None
    ffratio: float | None = None
    ffratio_grade: Grade | None = None
    avg_likes: Annotated[float | None, Filterable()] = None
    avg_likes_grade: Grade | None = None
    avg_comments: float | None = None
    avg_comments_grade: Grade | None = None
    avg_reels_play_count: Annotated[float | None, Filterable()] = None
    avg_reels_play_count_grade: Grade | None = None
    followers_growth90d: float | None = None
    followers_growth90d_grade: Grade | None = None
    plays_30d: Count | None = None
    plays_30d_grade: Grade | None = None
    post_frequency_week: float | None = None
    post_frequency_week_grade: Grade | None = None
    comment_rate_percentage: float | None = None
    comment_rate_percentage_grade: Grade | None = None
    likes_spread_percentage: float | None = None
    likes_spread_percentage_grade: Grade | None = None
    recent_avg_likes: Count | None = None
    total_likes: Count | None = None
    influence_score: float | None = None
    avg_reach: Annotated[float | None, PAID_FOR] = None
    avg_reach_grade: Annotated[Grade | None, PAID_FOR] = None
    reels_reach: Annotated[Count | None, PAID_FOR] = None
    reels_reach_grade: Annotated[Grade | None, PAID_FOR] = None
    story_reach: Annotated[Count | None, PAID_FOR] = None
    story_reach_grade: Annotated[Grade | None, PAID_FOR] = None
    image_reach: Annotated[Count | None, PAID_FOR] = None
    image_reach_grade: Annotated[Grade | None, PAID_FOR] = None
    impressions_30d: Annotated[Count | None, PAID_FOR] = None
    impressions_30d_grade: Annotated[Grade | None, PAID_FOR] = None


class YoutubeEntry(ProfileEntry):
    """A channel on YouTube, found by `channel_id`."""

    channel_id: Annotated[Code, Filterable()]
    title: Annotated[str, Field(min_length=1, max_length=500), Filterable()]
    username: Annotated[str | None, Field(max_length=500)] = None
    description: Annotated[str | None, Field(max_length=10_000)] = None
    channel_created_on: date | None = None
    uploads_count: Count | None = None
    uploads_count_grade: Grade | None = None
    views_count: Annotated[Count | None, Filterable()] = None
    views_count_grade: Grade | None = None
    views_30d: Annotated[Count | None, Filterable()] = None
    views_30d_grade: Grade | None = None
    avg_shorts_views_30d: float | None = None
    avg_shorts_views_30d_grade: Grade | None = None
    avg_video_views_30d: float | None = None
    avg_video_views_30d_grade: Grade | None = None
    latest_video_publish_time: datetime | None = None
    reaction_rate: float | None = None
    reaction_rate_grade: Grade | None = None
    comments_rate: float | None = None
    comments_rate_grade: Grade | None = None
    avg_posts_per_week: float | None = None
    avg_posts_per_week_grade: Grade | None = None
    followers_growth1y: float | None = None
    followers_growth1y_grade: Grade | None = None
    video_reach: Annotated[Count | None, PAID_FOR] = None
    video_reach_grade: Annotated[Grade | None, PAID_FOR] = None
    shorts_reach: Annotated[Count | None, PAID_FOR] = None
    shorts_reach_grade: Annotated[Grade | None, PAID_FOR] = None
    cpm: Annotated[float | None, PAID_FOR] = None
    cpm_grade: Annotated[Grade | None, PAID_FOR] = None
    est_earnings: Annotated[Document | None, PAID_FOR] = None
