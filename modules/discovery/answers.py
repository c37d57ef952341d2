"""Answers that are reckoned, not stored."""

from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict

from coffee_core.domain.entry import Entry, camel
from modules.discovery.entry import PAID_FOR


class Part(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(alias_generator=camel, populate_by_name=True)


class Share(Part):
    """A part of an audience, in percent."""

    name: str
    percent: float


class AgeGenderShare(Part):
    """A part of an audience by two of its traits, in percent of the whole audience."""

    age: str
    gender: str
    percent: float


class QualityPart(Part):
    """One of the numbers that the quality of an audience is judged by, in percent."""

    name: str
    value: float | None
    grade: str | None = None


class AudienceEntry(Entry):
    """Who follows a profile; the largest shares first, what is not known an empty list."""

    id: int | None = None
    platform: str
    platform_profile_id: str
    audience_gender: Annotated[list[Share] | None, PAID_FOR] = None
    audience_age: Annotated[list[Share] | None, PAID_FOR] = None
    audience_age_gender: Annotated[list[AgeGenderShare] | None, PAID_FOR] = None
    audience_countries: Annotated[list[Share] | None, PAID_FOR] = None
    audience_cities: Annotated[list[Share] | None, PAID_FOR] = None
    audience_language: Annotated[list[Share] | None, PAID_FOR] = None
    audience_quality_score: Annotated[float | None, PAID_FOR] = None
    audience_quality_grade: Annotated[str | None, PAID_FOR] = None
    audience_quality_parts: Annotated[list[QualityPart] | None, PAID_FOR] = None


class PointEntry(Entry):
    """One day, week (by its Monday) or month (by its first day) of a time series.

    A number is the last one known within that time, null where there is none. A change is against the last one known
    before, however long ago that was: so the changes add up to what was gained in all.
    """

    start: date
    followers: int | None = None
    followers_change: int | None = None
    following: int | None = None
    following_change: int | None = None
    views: int | None = None
    views_change: int | None = None
    plays: int | None = None
    plays_change: int | None = None
    uploads: int | None = None
    uploads_change: int | None = None
    engagement_rate: float | None = None
    engagement_rate_change: float | None = None


class ContentEntry(Entry):
    """A post or video with its last known numbers; `firstSeen` and `lastSeen` are null where no day is known."""

    content_id: str
    title: str | None = None
    category: str | None = None
    views: int | None = None
    likes: int | None = None
    comments: int | None = None
    engagement_rate: float | None = None
    first_seen: date | None = None
    last_seen: date | None = None


class HashtagEntry(Entry):
    """How many contents bear a tag, and which part of all contents that is."""

    tag: str
    uses: int
    percent: float


class LocationEntry(Entry):
    """A place where creators live, and how many of them."""

    name: str
    type: str
    profiles: int
