"""Audience: the documents of a profile as lists of shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from coffee_core.domain.context import current
from coffee_core.domain.errors import NotFoundError
from coffee_core.domain.plan import Plan
from coffee_core.rest.manager import Manager
from coffee_core.rest.page import Page
from modules.discovery.answers import AgeGenderShare, AudienceEntry, QualityPart, Share
from modules.discovery.entity import ProfileEntity
from modules.discovery.profiles import ProfileManager

OPEN: Final = (
    "platform", "platform_profile_id", "engagement_rate", "er_grade", "authentic_engagement", "comments_rate",
    "comments_rate_grade", "likes_spread", "likes_spread_grade", "reaction_rate", "reaction_rate_grade",
)  # fmt: skip
LOCKED: Final = (
    "audience_gender", "audience_age", "audience_age_gender", "audience_location", "audience_language",
    "audience_quality_score", "audience_quality_grade",
)  # fmt: skip
PARTS: Final = {
    "engagementRate": ("engagement_rate", "er_grade"),
    "authenticEngagement": ("authentic_engagement", None),
    "commentsRate": ("comments_rate", "comments_rate_grade"),
    "likesSpread": ("likes_spread", "likes_spread_grade"),
    "reactionRate": ("reaction_rate", "reaction_rate_grade"),
}
"""What the quality of an audience is judged by, as far as the platform tells it."""


class AudienceManager(Manager[AudienceEntry, ProfileEntity, int]):
    """Reads a profile's documents, masked by the caller's plan; columns that it locks are not read at all."""

    async def of(self, profiles: ProfileManager, code: str) -> Page[AudienceEntry]:
        """The audience of a profile; `NotFoundError` if there is no such profile."""
        fields = OPEN + tuple([one for one in LOCKED if self.dao.gates.get(one, Plan.FREE) <= current().plan])
        rows = await profiles.rows_of(code, fields)
        if not rows.rows:
            raise NotFoundError(f"there is no profile {code[:200]}")
        return await self.page(rows, single=True)

    def to_entry(self, entity: ProfileEntity) -> AudienceEntry:
        """Shares out of documents."""
        places = entity.audience_location or {}
        return AudienceEntry(
            id=entity.id,
            platform=entity.platform,
            platform_profile_id=entity.platform_profile_id,
            audience_gender=shares(
                {key.removesuffix("_per").upper(): value for key, value in (entity.audience_gender or {}).items()}
            ),
            audience_age=shares(entity.audience_age),
            audience_age_gender=sorted(_by_two(entity.audience_age_gender or {}), key=lambda one: -one.percent),
            audience_countries=shares(places.get("country")),
            audience_cities=shares(places.get("city")),
            audience_language=shares(entity.audience_language),
            audience_quality_score=entity.audience_quality_score,
            audience_quality_grade=entity.audience_quality_grade,
            audience_quality_parts=[
                QualityPart(name=name, value=value, grade=None if grade is None else getattr(entity, grade))
                for name, (column, grade) in PARTS.items()
                if (value := getattr(entity, column)) is not None
            ],
        )


def shares(document: object) -> list[Share]:
    """The numbers of a document, the largest first; what is no number is no share."""
    given: Mapping[str, Any] = document if isinstance(document, dict) else {}
    found = [Share(name=name, percent=value) for name, value in given.items() if _is_number(value)]
    return sorted(found, key=lambda one: (-one.percent, one.name))


def _by_two(document: Mapping[str, Any]) -> Iterator[AgeGenderShare]:
    """`{"18-24": {"male": 20.5, "female": 9}}`, or the same with the genders outside."""
    for outer, inner in document.items():
        for share in shares(inner):
            name = share.name.removesuffix("_per")
            age, gender = (outer, name) if outer[:1].isdigit() else (name, outer.removesuffix("_per"))
            yield AgeGenderShare(age=age, gender=gender.upper(), percent=share.percent)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
