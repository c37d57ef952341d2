"""What this module asks of others."""

from typing import Protocol

from coffee_core.rest.container import Store


class ProfileTables(Protocol):
    """The profiles of each platform, to be read where they are stored."""

    def of(self, platform: str) -> Store:
        """A store that has the columns of `ProfileEntity`; the rows are the owner's, and he alone writes them."""
        ...
