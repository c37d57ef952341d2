"""What this module asks of others."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class ProfileSummary(Protocol):
    """A profile's current numbers."""

    @property
    def code(self) -> str:
        """Handle or channel id."""
        ...

    @property
    def name(self) -> str | None:
        """Display name."""
        ...

    @property
    def followers(self) -> int | None:
        """Followers or subscribers."""
        ...

    @property
    def thumbnail(self) -> str | None:
        """URL of a picture."""
        ...

    @property
    def engagement_rate(self) -> float | None:
        """Percent."""
        ...


class ProfileNumbers(Protocol):
    """Looks profiles up by platform and code."""

    async def numbers(self, platform: str, codes: Sequence[str]) -> Mapping[str, ProfileSummary]:
        """Those that are known, by code; one look-up for all of them."""
        ...
