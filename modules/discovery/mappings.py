"""Layouts of files about videos and posts that are passed around, and what their columns are here.

Files without channels are kept under a made key of the list itself (`trending-IN`); a channel that only has a title
gets a key made of it. Such keys never look like a platform's own id.
"""

from __future__ import annotations

import hashlib
import re
from datetime import date, datetime
from typing import Final

from coffee_core.rest.transfer.mapping import Derived, ImportMapping
from coffee_core.rest.transfer.readers import Reader, shown, text, whole
from modules.discovery.contents import UNDATED

VIDEO_ID: Final = re.compile(r"[A-Za-z0-9_-]{11}")
HASHTAG: Final = re.compile(r"#([^\s#\ufffd]+)")
LOST: Final = "#NAME?"


def video_id(cell: str) -> str:
    """YouTube's own: what a spreadsheet took for a formula is lost, and cannot be made again."""
    found = cell.strip()
    if found == LOST:
        raise ValueError(f"{LOST} is what a spreadsheet left of a video id")
    if not VIDEO_ID.fullmatch(found):
        raise ValueError(f"{shown(cell)} is no video id" if found else "is empty: there is no video id")
    return found


def short_day(cell: str) -> date:
    """`17.14.11`: year, day, month."""
    parts = cell.strip().split(".")
    try:
        year, day, month = (int(part) for part in parts)
        return date(2000 + year, month, day)
    except ValueError:
        raise ValueError(f"{shown(cell)} is no date like 17.14.11 (year, day, month)") from None


def day_of(year: int) -> Reader:
    """`13.09`, of a year that the file does not tell; `1.1` is the first of October, not of January: a spreadsheet took
    01.10 for a number and dropped its zeros (of 01.01 it would have left 1.01). A date with something fused to it is
    refused."""

    def read(cell: str) -> date:
        found = re.fullmatch(r"([0-9]{1,2})\.([0-9]{2}|1)", cell.strip())
        try:
            return date(year, int(found[2].ljust(2, "0")), int(found[1])) if found else _no_day(cell)
        except ValueError:
            return _no_day(cell)

    return read


def _no_day(cell: str) -> date:
    raise ValueError(f"{shown(cell)} is no date like 13.09 (day, month)")


def iso_day(cell: str) -> date:
    """`2022-09-10T00:00:00Z`."""
    try:
        return datetime.fromisoformat(cell.strip()).date()
    except ValueError:
        raise ValueError(f"{shown(cell)} is no time") from None


def bars(cell: str) -> list[str]:
    """`a|b|c`, in lower case, each once; blanks and quotes around a tag are not part of it."""
    tags = [part.strip().strip('"').strip().lower()[:500] for part in cell.split("|")]
    return list(dict.fromkeys([tag for tag in tags if tag and tag != "[none]"]))[:200]


def hashtags(cell: str) -> list[str]:
    """`#a#b`, whatever stands between them: in lower case, each once, without the `#`."""
    return list(dict.fromkeys([tag.lower()[:500] for tag in HASHTAG.findall(cell)]))[:200]


def once_encoded(cell: str) -> str:
    """A text that was encoded twice (UTF-8 read as Windows-1252 and encoded again), read back as far as it goes: one
    whose bytes are lost stays as it stands."""
    try:
        return b"".join([_byte(char) for char in cell]).decode("utf-8")
    except ValueError:
        return cell


def _byte(char: str) -> bytes:
    """Windows-1252 has no characters for five bytes; what wrote these files passed them through as they are."""
    return bytes([ord(char)]) if "\x80" <= char <= "\x9f" else char.encode("windows-1252")


def repaired(read: Reader) -> Reader:
    """Reads the cell after it was read back."""
    return lambda cell: read(once_encoded(cell))


def title_key(title: str) -> str:
    """A channel that only has a title."""
    name = text(title)
    if name is None:
        raise ValueError("is empty: there is no channel")
    return "title-" + hashlib.sha256(name.encode()).hexdigest()[:24]


def post_key(*cells: str) -> str:
    """A post without an id: all that is known of it."""
    return "post-" + hashlib.sha256("\x1f".join(cells).encode()).hexdigest()[:24]


def always(value: str | date) -> Derived:
    """A field that the layout itself tells."""
    return Derived((), lambda: value)


def _title(cell: str) -> str | None:
    found = text(cell)
    return None if found is None else found[:1000]


def _trending(region: str) -> ImportMapping:
    return ImportMapping(
        name=f"youtube-trending-{region.lower()}",
        description=f"Trending videos of {region} day by day, without channels; dates like 17.14.11.",
        columns={
            "video_id": ("content_id", video_id),
            "trending_date": ("day", short_day),
            "title": ("title", _title),
            "category_id": ("category", text),
            "views": ("views", whole),
            "likes": ("likes", whole),
            "comment_count": ("comments", whole),
        },
        derived={
            "platform": always("YOUTUBE"), "region": always(region), "profile_key": always(f"trending-{region}"),
        },
        ignored=("dislikes",),
    )  # fmt: skip


YOUTUBE_TRENDING_IN: Final = _trending("IN")
YOUTUBE_TRENDING_US: Final = _trending("US")
YOUTUBE_TRENDING_2017_TAGS: Final = ImportMapping(
    name="youtube-trending-2017-tags",
    description="Trending videos of the US in 2017 with channel titles and tags; dates like 13.09.",
    columns={
        "video_id": ("content_id", video_id),
        "title": ("title", _title),
        "category_id": ("category", text),
        "tags": ("tags", bars),
        "views": ("views", whole),
        "likes": ("likes", whole),
        "comment_total": ("comments", whole),
        "date": ("day", day_of(2017)),
    },
    derived={
        "platform": always("YOUTUBE"), "region": always("US"), "profile_key": Derived(("channel_title",), title_key),
    },
    ignored=("dislikes", "thumbnail_link"),
)  # fmt: skip
YOUTUBE_TRENDING_2022: Final = ImportMapping(
    name="youtube-trending-2022",
    description="Trending videos of the US in 2022 with channel ids; texts that were encoded twice are read back.",
    columns={
        "video_id": ("content_id", video_id),
        "title": ("title", repaired(_title)),
        "channelId": ("profile_key", text),
        "categoryName": ("category", text),
        "trending_date": ("day", iso_day),
        "tags": ("tags", repaired(bars)),
        "view_count": ("views", whole),
        "likes": ("likes", whole),
        "comment_count": ("comments", whole),
    },
    derived={"platform": always("YOUTUBE"), "region": always("US")},
    ignored=(
        "publishedAt", "channelTitle", "categoryId", "dislikes", "thumbnail_link", "comments_disabled",
        "ratings_disabled", "description",
    ),
)  # fmt: skip
INSTAGRAM_POST_REACH: Final = ImportMapping(
    name="instagram-post-reach",
    description="Posts of one account with impressions and hashtags; without ids and dates.",
    columns={
        "Impressions": ("views", whole),
        "Likes": ("likes", whole),
        "Comments": ("comments", whole),
        "Caption": ("title", _title),
        "Hashtags": ("tags", hashtags),
    },
    derived={
        "platform": always("INSTAGRAM"), "region": always(""), "profile_key": always("post-reach"),
        "day": always(UNDATED),
        "content_id": Derived(
            (
                "Impressions", "From Home", "From Hashtags", "From Explore", "From Other", "Saves", "Comments",
                "Shares", "Likes", "Profile Visits", "Follows", "Caption", "Hashtags",
            ),
            post_key,
        ),
    },
)  # fmt: skip
MAPPINGS: Final = (
    YOUTUBE_TRENDING_IN, YOUTUBE_TRENDING_US, YOUTUBE_TRENDING_2017_TAGS, YOUTUBE_TRENDING_2022, INSTAGRAM_POST_REACH,
)  # fmt: skip
