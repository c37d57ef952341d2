"""Usage as callers see it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from coffee_core.domain.entry import Entry, ReadOnly, camel
from coffee_core.metering.periods import Frequency

Namespace = Literal["DISCOVERY", "CAMPAIGN_REPORT", "PROFILE_PAGE", "ACCOUNT_TRACKING"]


class UsageEntry(Entry):
    """One counter: `consumed` of `limit` since `start_date` or the last reset; the next one is at `next_reset_on`."""

    id: Annotated[int | None, ReadOnly()] = None
    partner_id: Annotated[int | None, ReadOnly()] = None
    namespace: Annotated[str, ReadOnly()]
    key: Annotated[str, ReadOnly()]
    limit: Annotated[int, ReadOnly()]
    consumed: Annotated[int, ReadOnly()]
    start_date: Annotated[datetime, ReadOnly()]
    end_date: Annotated[datetime | None, ReadOnly()] = None
    next_reset_on: Annotated[datetime, ReadOnly()]
    frequency: Annotated[Frequency, ReadOnly()]


class UsedEntry(Entry):
    """What a partner has used of one thing that is counted, and what is left of it until `next_reset_on`."""

    namespace: Namespace
    limit: int
    consumed: int
    remaining: int
    frequency: Frequency
    start_date: datetime
    end_date: datetime | None
    next_reset_on: datetime


class PartnerUsageEntry(Entry):
    """The contract that a partner has now, with what is consumed of it. `plan` FREE without `start_time` is no
    contract. What is not listed in `usage` is not included."""

    id: int
    plan: str
    start_time: datetime | None
    end_time: datetime | None
    usage: list[UsedEntry]


class UnlockedEntry(Entry):
    """A profile's page that costs nothing until `free_until`; `cost` is what it came to now."""

    platform: str
    platform_code: str
    cost: int
    free_until: datetime


class Correction(BaseModel):
    """What is consumed of one thing in this period. The limit is the contract's."""

    model_config = ConfigDict(alias_generator=camel, extra="forbid", frozen=True)

    namespace: Namespace
    consumed: Annotated[int | None, Field(ge=0, le=10**12)] = None


class CorrectionsBody(BaseModel):
    """`PUT /{id}`: brings all counters of the partner in line with his contract, and sets those that are named."""

    model_config = ConfigDict(alias_generator=camel, extra="forbid", frozen=True)

    usage: Annotated[list[Correction], Field(max_length=20)] = []
