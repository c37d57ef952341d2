"""Profiles as they are stored: shared rows of the platform, which only operators write."""

from datetime import date, datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Date, DateTime, Double, MetaData, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from coffee_core.domain.entity import Entity, Identified, SoftDeleted, Timed, Versioned


class SocialProfileEntity(Entity):
    """What this module stores lives in its own schema."""

    __abstract__ = True
    metadata: ClassVar[MetaData] = MetaData(schema="social_profile")


class ProfileEntity(Identified, Versioned, SoftDeleted, Timed, SocialProfileEntity):
    """What profiles of both platforms have. `search_phrase`, `flag_contact_info_available` and `profile_code` (the
    person's `profile_id`, or one made of the row's own id) are made by PostgreSQL from the other columns (GENERATED
    ALWAYS), so that they are right whoever writes."""

    __abstract__ = True

    thumbnail: Mapped[str | None] = mapped_column(Text)
    dob: Mapped[date | None] = mapped_column(Date)
    gender: Mapped[str | None] = mapped_column(Text)
    location: Mapped[list[str]] = mapped_column(ARRAY(Text))
    city: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str | None] = mapped_column(Text)
    country: Mapped[str | None] = mapped_column(Text)
    categories: Mapped[list[str]] = mapped_column(ARRAY(Text))
    languages: Mapped[list[str]] = mapped_column(ARRAY(Text))
    keywords: Mapped[list[str]] = mapped_column(ARRAY(Text))
    label: Mapped[str | None] = mapped_column(Text)
    is_blacklisted: Mapped[bool]
    is_verified: Mapped[bool]
    profile_type: Mapped[str | None] = mapped_column(Text)
    profile_id: Mapped[str | None] = mapped_column(Text)
    profile_code: Mapped[str] = mapped_column(Text)
    followers: Mapped[int | None] = mapped_column(BigInteger)
    followers_grade: Mapped[str | None] = mapped_column(Text)
    followers_growth7d: Mapped[float | None] = mapped_column(Double)
    followers_growth7d_grade: Mapped[str | None] = mapped_column(Text)
    followers_growth30d: Mapped[float | None] = mapped_column(Double)
    followers_growth30d_grade: Mapped[str | None] = mapped_column(Text)
    avg_views: Mapped[float | None] = mapped_column(Double)
    avg_views_grade: Mapped[str | None] = mapped_column(Text)
    uploads_30d: Mapped[int | None] = mapped_column(BigInteger)
    uploads_30d_grade: Mapped[str | None] = mapped_column(Text)
    engagement_rate: Mapped[float | None] = mapped_column(Double)
    er_grade: Mapped[str | None] = mapped_column(Text)
    authentic_engagement: Mapped[float | None] = mapped_column(Double)
    country_rank: Mapped[int | None] = mapped_column(BigInteger)
    category_rank: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    group_key: Mapped[str | None] = mapped_column(Text)
    similar_profile_group_data: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    linked_socials: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    email: Mapped[str | None] = mapped_column(Text)
    phone: Mapped[str | None] = mapped_column(Text)
    audience_gender: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    audience_age: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    audience_age_gender: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    audience_location: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    audience_language: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    audience_quality_score: Mapped[float | None] = mapped_column(Double)
    audience_quality_grade: Mapped[str | None] = mapped_column(Text)
    est_post_price: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    est_reach: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    est_impressions: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    search_phrase: Mapped[str] = mapped_column(Text)
    flag_contact_info_available: Mapped[bool]


class InstagramEntity(ProfileEntity):
    """Table `social_profile.instagram`."""

    __tablename__ = "instagram"

    ig_id: Mapped[str] = mapped_column(Text, unique=True)
    handle: Mapped[str] = mapped_column(Text)
    name: Mapped[str | None] = mapped_column(Text)
    bio: Mapped[str | None] = mapped_column(Text)
    following: Mapped[int | None] = mapped_column(BigInteger)
    post_count: Mapped[int | None] = mapped_column(BigInteger)
    ffratio: Mapped[float | None] = mapped_column(Double)
    ffratio_grade: Mapped[str | None] = mapped_column(Text)
    avg_likes: Mapped[float | None] = mapped_column(Double)
    avg_likes_grade: Mapped[str | None] = mapped_column(Text)
    avg_comments: Mapped[float | None] = mapped_column(Double)
    avg_comments_grade: Mapped[str | None] = mapped_column(Text)
    avg_reels_play_count: Mapped[float | None] = mapped_column(Double)
    avg_reels_play_count_grade: Mapped[str | None] = mapped_column(Text)
    followers_growth90d: Mapped[float | None] = mapped_column(Double)
    followers_growth90d_grade: Mapped[str | None] = mapped_column(Text)
    plays_30d: Mapped[int | None] = mapped_column(BigInteger)
    plays_30d_grade: Mapped[str | None] = mapped_column(Text)
    post_frequency_week: Mapped[float | None] = mapped_column(Double)
    post_frequency_week_grade: Mapped[str | None] = mapped_column(Text)
    comment_rate_percentage: Mapped[float | None] = mapped_column(Double)
    comment_rate_percentage_grade: Mapped[str | None] = mapped_column(Text)
    likes_spread_percentage: Mapped[float | None] = mapped_column(Double)
    likes_spread_percentage_grade: Mapped[str | None] = mapped_column(Text)
    recent_avg_likes: Mapped[int | None] = mapped_column(BigInteger)
    total_likes: Mapped[int | None] = mapped_column(BigInteger)
    influence_score: Mapped[float | None] = mapped_column(Double)
    avg_reach: Mapped[float | None] = mapped_column(Double)
    avg_reach_grade: Mapped[str | None] = mapped_column(Text)
    reels_reach: Mapped[int | None] = mapped_column(BigInteger)
    reels_reach_grade: Mapped[str | None] = mapped_column(Text)
    story_reach: Mapped[int | None] = mapped_column(BigInteger)
    story_reach_grade: Mapped[str | None] = mapped_column(Text)
    image_reach: Mapped[int | None] = mapped_column(BigInteger)
    image_reach_grade: Mapped[str | None] = mapped_column(Text)
    impressions_30d: Mapped[int | None] = mapped_column(BigInteger)
    impressions_30d_grade: Mapped[str | None] = mapped_column(Text)


class YoutubeEntity(ProfileEntity):
    """Table `social_profile.youtube`."""

    __tablename__ = "youtube"

    channel_id: Mapped[str] = mapped_column(Text, unique=True)
    title: Mapped[str] = mapped_column(Text)
    username: Mapped[str | None] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    channel_created_on: Mapped[date | None] = mapped_column(Date)
    uploads_count: Mapped[int | None] = mapped_column(BigInteger)
    uploads_count_grade: Mapped[str | None] = mapped_column(Text)
    views_count: Mapped[int | None] = mapped_column(BigInteger)
    views_count_grade: Mapped[str | None] = mapped_column(Text)
    views_30d: Mapped[int | None] = mapped_column(BigInteger)
    views_30d_grade: Mapped[str | None] = mapped_column(Text)
    avg_shorts_views_30d: Mapped[float | None] = mapped_column(Double)
    avg_shorts_views_30d_grade: Mapped[str | None] = mapped_column(Text)
    avg_video_views_30d: Mapped[float | None] = mapped_column(Double)
    avg_video_views_30d_grade: Mapped[str | None] = mapped_column(Text)
    latest_video_publish_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    reaction_rate: Mapped[float | None] = mapped_column(Double)
    reaction_rate_grade: Mapped[str | None] = mapped_column(Text)
    comments_rate: Mapped[float | None] = mapped_column(Double)
    comments_rate_grade: Mapped[str | None] = mapped_column(Text)
    avg_posts_per_week: Mapped[float | None] = mapped_column(Double)
    avg_posts_per_week_grade: Mapped[str | None] = mapped_column(Text)
    followers_growth1y: Mapped[float | None] = mapped_column(Double)
    followers_growth1y_grade: Mapped[str | None] = mapped_column(Text)
    video_reach: Mapped[int | None] = mapped_column(BigInteger)
    video_reach_grade: Mapped[str | None] = mapped_column(Text)
    shorts_reach: Mapped[int | None] = mapped_column(BigInteger)
    shorts_reach_grade: Mapped[str | None] = mapped_column(Text)
    cpm: Mapped[float | None] = mapped_column(Double)
    cpm_grade: Mapped[str | None] = mapped_column(Text)
    est_earnings: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
