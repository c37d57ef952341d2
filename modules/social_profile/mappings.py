"""Layouts of files about creators that are passed around, and what their columns are here.

Neither file carries the platform's own id, so a natural key is made of what does not change from one edition to the
next: never of ranks or counts. Its prefix says that it was made.
"""

import hashlib
from datetime import date
from decimal import Decimal
from typing import Final

from coffee_core.rest.transfer.mapping import Derived, ImportMapping
from coffee_core.rest.transfer.readers import (
    exact,
    month_date,
    number,
    percent,
    text,
    text_or_nan,
    whole,
)

YOUTUBE_BEGAN = 2005


def _required(cell: str) -> str:
    found = text(cell)
    if found is None:
        raise ValueError("is empty")
    return found


def channel_key(youtuber: str, title: str, year: str, month: str, day: str) -> str:
    """A channel's two names and the day it began: the first alone is not unique where characters were lost."""
    _required(youtuber)
    said = "\x1f".join(part.strip() for part in (youtuber, title, year, month, day))
    return "title-" + hashlib.sha256(said.encode()).hexdigest()[:24]


def handle_key(handle: str) -> str:
    """The prefix keeps a handle of digits apart from Instagram's own ids."""
    return "handle-" + _required(handle).lower()


def began(year: str, month: str, day: str) -> date | None:
    """The day on which a channel began. 1970 is what a lost date looks like: there was no YouTube before 2005."""
    found = month_date(year, month, day)
    return None if found is None or found.year < YOUTUBE_BEGAN else found


def growth(now: str, gained: str) -> float | None:
    """What was gained, in percent of what was there before."""
    total, gain = whole(now), whole(gained)
    if total is None or gain is None or total <= gain:
        return None
    return float(round(Decimal(gain) * 100 / (total - gain), 4))


def earnings(*cells: str) -> dict[str, dict[str, float | int | None]] | None:
    """Low and high estimates in US dollars, for a month and for a year."""
    amounts = [None if (found := exact(cell)) is None else _plain(found) for cell in cells]
    if all(amount is None for amount in amounts):
        return None
    low_month, high_month, low_year, high_year = amounts
    return {"monthly": {"low": low_month, "high": high_month}, "yearly": {"low": low_year, "high": high_year}}


def _plain(value: Decimal) -> float | int:
    return int(value) if value == value.to_integral_value() else float(value)


def rank_in(kind: str, rank: str) -> dict[str, int] | None:
    """The rank within a kind of channel, under its name."""
    name, place = text_or_nan(kind), whole(rank)
    return None if name is None or place is None else {name: place}


def one_or_none(cell: str) -> list[str]:
    """A list of the one value there is."""
    found = text_or_nan(cell)
    return [] if found is None else [found]


GLOBAL_YOUTUBE_STATISTICS: Final = ImportMapping(
    name="global-youtube-statistics",
    description="Most subscribed channels: CSV in Latin-1, `nan` for nothing, large numbers like 2.28E+11.",
    columns={
        "Youtuber": ("title", _required),
        "Title": ("username", text),
        "subscribers": ("followers", whole),
        "video_views": ("views_count", whole),
        "category": ("categories", one_or_none),
        "uploads": ("uploads_count", whole),
        "Country": ("country", text_or_nan),
        "channel_type": ("label", text_or_nan),
        "country_rank": ("country_rank", whole),
        "video_views_for_the_last_30_days": ("views_30d", whole),
    },
    derived={
        "channel_id": Derived(("Youtuber", "Title", "created_year", "created_month", "created_date"), channel_key),
        "channel_created_on": Derived(("created_year", "created_month", "created_date"), began),
        "category_rank": Derived(("channel_type", "channel_type_rank"), rank_in),
        "followers_growth30d": Derived(("subscribers", "subscribers_for_last_30_days"), growth),
        "est_earnings": Derived(
            (
                "lowest_monthly_earnings",
                "highest_monthly_earnings",
                "lowest_yearly_earnings",
                "highest_yearly_earnings",
            ),
            earnings,
        ),
    },
    ignored=(
        "rank",
        "video_views_rank",
        "Abbreviation",
        "Gross tertiary education enrollment (%)",
        "Population",
        "Unemployment rate",
        "Urban_population",
        "Latitude",
        "Longitude",
    ),
)

INSTAGRAM_TOP: Final = ImportMapping(
    name="instagram-top",
    description="Most followed profiles: counts like 475.8m, rates like 1.39%, or the same as plain numbers.",
    columns={
        "channel_info": ("handle", _required),
        "influence_score": ("influence_score", number),
        "posts": ("post_count", whole),
        "followers": ("followers", whole),
        "avg_likes": ("avg_likes", number),
        "60d_eng_rate": ("engagement_rate", percent),
        "new_post_avg_like": ("recent_avg_likes", whole),
        "total_likes": ("total_likes", whole),
        "country": ("country", text_or_nan),
    },
    derived={"ig_id": Derived(("channel_info",), handle_key)},
    ignored=("rank",),
)
