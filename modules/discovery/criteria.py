"""What a search for creators takes beside filters: named criteria, which become filters of the one language."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from coffee_core.domain.entry import camel
from coffee_core.rest.filters import path_text

Filter = dict[str, Any]  # JSON
Name = Annotated[str, Field(min_length=1, max_length=100)]
Names = Annotated[list[Name], Field(min_length=1, max_length=50)]


class Criterion(BaseModel):
    """Read strictly, camelCase."""

    model_config = ConfigDict(alias_generator=camel, populate_by_name=True, extra="forbid", allow_inf_nan=False)


class Range(Criterion):
    """From `min` to `max`, both included; one of them may be left out."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _is_a_range(self) -> Range:
        if self.min is None and self.max is None:
            raise ValueError("a range has min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is larger than max")
        return self


class AudienceShare(Criterion):
    """At least so many percent of the audience are of one gender, age band, city or country: one of the four."""

    gender: Literal["MALE", "FEMALE"] | None = None
    age_band: Annotated[str, Field(pattern=r"^[0-9]{1,2}(-[0-9]{1,2}|\+)$")] | None = None
    city: Name | None = None
    country: Name | None = None
    at_least: Annotated[float, Field(ge=0, le=100)]

    @model_validator(mode="after")
    def _is_of_one_trait(self) -> AudienceShare:
        if sum(one is not None for one in (self.gender, self.age_band, self.city, self.country)) != 1:
            raise ValueError("say one of gender, ageBand, city and country")
        return self

    def path(self) -> str:
        """Where the share stands in the documents of an audience."""
        if self.gender is not None:
            return f"audienceGender.{self.gender.lower()}_per"
        if self.age_band is not None:
            return "audienceAge." + path_text((self.age_band,))
        kind = "city" if self.city is not None else "country"
        return f"audienceLocation.{kind}." + path_text((self.city or self.country or "",))


class SearchBody(Criterion):
    """What to look for: all of it holds. `filters` are those of every search, with the fields of the answer."""

    filters: list[Filter] = Field(
        default_factory=list,
        examples=[[{"filterType": "GTE", "field": "audienceGender.female_per", "value": 60}]],
        description="Each is {filterType, field, value} or nests in {and: [...]}, {or: [...]}, {not: ...}.",
    )
    followers: Range | None = None
    followers_growth7d: Range | None = None
    followers_growth30d: Range | None = None
    engagement_rate: Range | None = None
    avg_views: Range | None = None
    price: Range | None = None
    """Ranges of estimated prices that meet this one."""
    categories: Names | None = None
    """One of them."""
    languages: Names | None = None
    locations: Names | None = None
    """One of these cities, states or countries."""
    gender: Name | None = None
    keywords: Names | None = None
    is_verified: bool | None = None
    contact_available: bool | None = None
    audience: Annotated[list[AudienceShare], Field(max_length=20)] = []

    def as_filters(self) -> list[Filter]:
        """One list that says all of it."""
        return [*self.filters, *self._ranges(), *self._traits(), *(_at_least(one) for one in self.audience)]

    def _ranges(self) -> Iterator[Filter]:
        for name in ("followers", "followers_growth7d", "followers_growth30d", "engagement_rate", "avg_views"):
            given: Range | None = getattr(self, name)
            if given is not None:
                yield from _within(camel(name), camel(name), given, whole=name == "followers")
        if self.price is not None:
            yield from _within("estPostPrice.high", "estPostPrice.low", self.price)

    def _traits(self) -> Iterator[Filter]:
        for name, values in (("categories", self.categories), ("languages", self.languages),
                             ("location", self.locations), ("keywords", self.keywords)):  # fmt: skip
            if values is not None:
                yield {"filterType": "ARRAY_OVERLAPS", "field": name, "value": values}
        for name, value in (("gender", self.gender), ("isVerified", self.is_verified),
                            ("flagContactInfoAvailable", self.contact_available)):  # fmt: skip
            if value is not None:
                yield {"filterType": "EQ", "field": name, "value": value}


def _within(from_field: str, to_field: str, given: Range, *, whole: bool = False) -> Iterator[Filter]:
    """`whole` fields count: half a follower more or less makes no difference to who is meant."""
    if given.min is not None:
        value = -int(-given.min // 1) if whole else given.min
        yield {"filterType": "GTE", "field": from_field, "value": value}
    if given.max is not None:
        yield {"filterType": "LTE", "field": to_field, "value": int(given.max // 1) if whole else given.max}


def _at_least(share: AudienceShare) -> Filter:
    return {"filterType": "GTE", "field": share.path(), "value": share.at_least}
