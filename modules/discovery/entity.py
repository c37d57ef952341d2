"""What is read and what is stored."""

from datetime import date, datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Date, DateTime, Double, MetaData, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from coffee_core.domain.entity import Entity, Identified
from coffee_core.stores.clickhouse.table import ClickHouseTable, kept_in_clickhouse


class DiscoveryEntity(Entity):
    """What this module stores lives in its own schema."""

    __abstract__ = True
    metadata: ClassVar[MetaData] = MetaData(schema="discovery")


class ProfileEntity(Identified, DiscoveryEntity):
    """A profile as its owner publishes it (`needs.ProfileTables`): no table of this module."""

    __tablename__ = "profile"

    platform: Mapped[str] = mapped_column(Text)
    platform_profile_id: Mapped[str] = mapped_column(Text)
    profile_id: Mapped[str] = mapped_column(Text)
    handle: Mapped[str | None] = mapped_column(Text)
    name: Mapped[str | None] = mapped_column(Text)
    bio: Mapped[str | None] = mapped_column(Text)
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
    followers: Mapped[int | None] = mapped_column(BigInteger)
    followers_grade: Mapped[str | None] = mapped_column(Text)
    followers_growth7d: Mapped[float | None] = mapped_column(Double)
    followers_growth7d_grade: Mapped[str | None] = mapped_column(Text)
    followers_growth30d: Mapped[float | None] = mapped_column(Double)
    followers_growth30d_grade: Mapped[str | None] = mapped_column(Text)
    following: Mapped[int | None] = mapped_column(BigInteger)
    uploads: Mapped[int | None] = mapped_column(BigInteger)
    uploads_30d: Mapped[int | None] = mapped_column(BigInteger)
    uploads_30d_grade: Mapped[str | None] = mapped_column(Text)
    uploads_per_week: Mapped[float | None] = mapped_column(Double)
    views: Mapped[int | None] = mapped_column(BigInteger)
    views_30d: Mapped[int | None] = mapped_column(BigInteger)
    avg_views: Mapped[float | None] = mapped_column(Double)
    avg_views_grade: Mapped[str | None] = mapped_column(Text)
    avg_likes: Mapped[float | None] = mapped_column(Double)
    avg_comments: Mapped[float | None] = mapped_column(Double)
    avg_plays: Mapped[float | None] = mapped_column(Double)
    engagement_rate: Mapped[float | None] = mapped_column(Double)
    er_grade: Mapped[str | None] = mapped_column(Text)
    authentic_engagement: Mapped[float | None] = mapped_column(Double)
    comments_rate: Mapped[float | None] = mapped_column(Double)
    comments_rate_grade: Mapped[str | None] = mapped_column(Text)
    likes_spread: Mapped[float | None] = mapped_column(Double)
    likes_spread_grade: Mapped[str | None] = mapped_column(Text)
    reaction_rate: Mapped[float | None] = mapped_column(Double)
    reaction_rate_grade: Mapped[str | None] = mapped_column(Text)
    country_rank: Mapped[int | None] = mapped_column(BigInteger)
    category_rank: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    group_key: Mapped[str | None] = mapped_column(Text)
    similar_profile_group_data: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    linked_socials: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    flag_contact_info_available: Mapped[bool]
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
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ContentDayEntity(Identified, DiscoveryEntity):
    """Table `discovery__content_day` of ClickHouse: how a post or video stood on one day, in one region's list.
    Counts are totals since it was published."""

    __tablename__ = "content_day"
    __table_args__ = kept_in_clickhouse(
        ClickHouseTable(order_by=("platform", "profile_key", "region", "content_id", "day"), replacing=True)
    )

    platform: Mapped[str] = mapped_column(Text)
    region: Mapped[str] = mapped_column(Text, server_default="")
    content_id: Mapped[str] = mapped_column(Text)
    day: Mapped[date] = mapped_column(Date)
    profile_key: Mapped[str] = mapped_column(Text)
    title: Mapped[str | None] = mapped_column(Text)
    category: Mapped[str | None] = mapped_column(Text)
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    views: Mapped[int | None] = mapped_column(BigInteger)
    likes: Mapped[int | None] = mapped_column(BigInteger)
    comments: Mapped[int | None] = mapped_column(BigInteger)


class ProfileDayEntity(Identified, DiscoveryEntity):
    """Table `discovery__profile_day` of ClickHouse: how a profile stood on one day. `derived` says that the numbers
    were summed up from its contents, and may be so again."""

    __tablename__ = "profile_day"
    __table_args__ = kept_in_clickhouse(ClickHouseTable(order_by=("platform", "profile_key", "day"), replacing=True))

    platform: Mapped[str] = mapped_column(Text)
    profile_key: Mapped[str] = mapped_column(Text)
    day: Mapped[date] = mapped_column(Date)
    followers: Mapped[int | None] = mapped_column(BigInteger)
    following: Mapped[int | None] = mapped_column(BigInteger)
    views: Mapped[int | None] = mapped_column(BigInteger)
    plays: Mapped[int | None] = mapped_column(BigInteger)
    uploads: Mapped[int | None] = mapped_column(BigInteger)
    engagement_rate: Mapped[float | None] = mapped_column(Double)
    derived: Mapped[bool] = mapped_column(server_default="false")
