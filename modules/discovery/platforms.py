"""The platforms whose profiles can be found."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from coffee_core.domain.errors import NotFoundError


class Platform(StrEnum):
    """As it stands in paths, in any case, and in answers, in capitals."""

    INSTAGRAM = "INSTAGRAM"
    YOUTUBE = "YOUTUBE"


PLATFORMS: Final = tuple(Platform)


def platform_of(text: str) -> Platform:
    """The platform in a path; another one is `NotFoundError`."""
    try:
        return Platform(text.upper())
    except ValueError:
        raise NotFoundError(f"{text[:40]!r} is no platform; there are {', '.join(PLATFORMS)}") from None
