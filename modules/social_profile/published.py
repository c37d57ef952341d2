"""What other modules may read of the profiles, in words that fit both platforms: handed over in `modules/wiring.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from coffee_core.rest.container import Container
from coffee_core.rest.dao_provider import DaoProvider
from coffee_core.rest.published import Published
from modules.social_profile.entity import InstagramEntity, YoutubeEntity
from modules.social_profile.resources import ProfileEntityT

ALIKE: Final = (
    "id", "thumbnail", "dob", "gender", "location", "city", "state", "country", "categories", "languages", "keywords",
    "label", "is_blacklisted", "is_verified", "profile_type", "followers", "followers_grade", "followers_growth7d",
    "followers_growth7d_grade", "followers_growth30d", "followers_growth30d_grade", "avg_views", "avg_views_grade",
    "uploads_30d", "uploads_30d_grade", "engagement_rate", "er_grade", "authentic_engagement", "country_rank",
    "category_rank", "group_key", "similar_profile_group_data", "linked_socials", "email", "phone", "audience_gender",
    "audience_age", "audience_age_gender", "audience_location", "audience_language", "audience_quality_score",
    "audience_quality_grade", "est_post_price", "est_reach", "est_impressions", "search_phrase",
    "flag_contact_info_available", "updated_at",
)  # fmt: skip
"""Columns that both tables have under one name."""

OF_INSTAGRAM: Final = {
    "profile_id": "profile_code",
    "platform_profile_id": "ig_id",
    "handle": "handle",
    "name": "name",
    "bio": "bio",
    "uploads": "post_count",
    "views_30d": "plays_30d",
    "following": "following",
    "avg_likes": "avg_likes",
    "avg_comments": "avg_comments",
    "avg_plays": "avg_reels_play_count",
    "uploads_per_week": "post_frequency_week",
    "comments_rate": "comment_rate_percentage",
    "comments_rate_grade": "comment_rate_percentage_grade",
    "likes_spread": "likes_spread_percentage",
    "likes_spread_grade": "likes_spread_percentage_grade",
}
OF_YOUTUBE: Final = {
    "profile_id": "profile_code",
    "platform_profile_id": "channel_id",
    "handle": "username",
    "name": "title",
    "bio": "description",
    "uploads": "uploads_count",
    "views": "views_count",
    "views_30d": "views_30d",
    "uploads_per_week": "avg_posts_per_week",
    "comments_rate": "comments_rate",
    "comments_rate_grade": "comments_rate_grade",
    "reaction_rate": "reaction_rate",
    "reaction_rate_grade": "reaction_rate_grade",
}


class PublishedProfiles:
    """The profiles of each platform, by its name in capitals."""

    def __init__(self, container: Container) -> None:
        instagram = container.store.provider(InstagramEntity, InstagramEntity.id)
        youtube = container.store.provider(YoutubeEntity, YoutubeEntity.id)
        self._instagram = _published("INSTAGRAM", instagram, OF_INSTAGRAM, OF_YOUTUBE)
        self._youtube = _published("YOUTUBE", youtube, OF_YOUTUBE, OF_INSTAGRAM)

    def of(self, platform: str) -> Published:
        """A store to read from: a `LookupError` for a platform that there is not."""
        match platform:
            case "INSTAGRAM":
                return self._instagram
            case "YOUTUBE":
                return self._youtube
            case _:
                raise LookupError(f"there are no profiles of {platform}")


def _published(
    platform: str, rows: DaoProvider[ProfileEntityT, int], own: Mapping[str, str], other: Mapping[str, str]
) -> Published:
    """With the platform's name, and with nothing for what only the other one has."""
    fixed = {"platform": platform} | {name: None for name in other if name not in own}
    return Published(rows, {name: name for name in ALIKE} | dict(own), fixed=fixed, enabled=True)
