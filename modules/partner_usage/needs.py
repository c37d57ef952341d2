"""What this module asks of others."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol


class Allowance(Protocol):
    """What a contract grants of one thing that is counted."""

    @property
    def limit(self) -> int:
        """Uses in each period."""
        ...

    @property
    def frequency(self) -> str:
        """`monthly`, `quarterly` or `yearly`."""
        ...

    @property
    def start(self) -> datetime:
        """When the first period begins."""
        ...

    @property
    def end(self) -> datetime | None:
        """Before when it may be used; None for ever."""
        ...


class Contract(Protocol):
    """What a partner has bought."""

    @property
    def plan(self) -> str:
        """`FREE`, `SAAS` or `PAID`."""
        ...

    @property
    def start(self) -> datetime:
        """From when on it runs."""
        ...

    @property
    def end(self) -> datetime | None:
        """Before when it runs; None for ever."""
        ...

    @property
    def allowances(self) -> Mapping[str, Allowance]:
        """By namespace."""
        ...


class Contracts(Protocol):
    """Whose word on contracts counts. Reads in the unit of work in hand."""

    async def running(self, partner_id: int, now: datetime) -> Sequence[Contract]:
        """The partner's contracts that give a plan and run at `now`: the largest plan first, then the newest."""
        ...

    async def known(self, partner_id: int) -> bool:
        """Whether there is such a partner."""
        ...


class ProfilePage(Protocol):
    """A profile, and the page on which it is shown."""

    @property
    def code(self) -> str:
        """Its id on its platform."""
        ...

    @property
    def page(self) -> str:
        """What the page is called: two profiles of one person share one."""
        ...


class ProfilePages(Protocol):
    """Knows profiles by all their names."""

    async def page_of(self, platform: str, code: str) -> ProfilePage | None:
        """The page of the profile that is known by `code`, a handle or an id; None of none."""
        ...
