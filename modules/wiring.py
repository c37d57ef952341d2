"""Which modules there are, and who meets whose needs: the whole business on one page."""

from __future__ import annotations

from typing import Final

from coffee_core.metering.meter import Meter
from coffee_core.rest.container import Container, Module
from modules.activity.module import ACTIVITY
from modules.discovery.module import DISCOVERY
from modules.discovery.needs import ProfileTables
from modules.identity.allowances import RunningContracts
from modules.identity.module import IDENTITY
from modules.partner_usage.metering import make_meter
from modules.partner_usage.module import PARTNER_USAGE
from modules.partner_usage.needs import Contracts, ProfilePages
from modules.profile_collection.module import PROFILE_COLLECTION
from modules.profile_collection.needs import ProfileNumbers
from modules.social_profile.module import SOCIAL_PROFILE
from modules.social_profile.numbers import ProfileNumbersService
from modules.social_profile.pages import ProfilePagesService
from modules.social_profile.published import PublishedProfiles

MODULES: Final[tuple[Module, ...]] = (
    IDENTITY,
    SOCIAL_PROFILE,
    PROFILE_COLLECTION,
    ACTIVITY,
    PARTNER_USAGE,
    DISCOVERY,
)
"""Those that `pyproject.toml` registers under `coffee.modules`."""


def meet_needs(container: Container) -> None:
    """Hand to each module what it asks of others."""
    container.meet(ProfileNumbers, ProfileNumbersService(container))  # type: ignore[type-abstract]  # mypy #4717: a Protocol as a key
    container.meet(Contracts, RunningContracts(container))  # type: ignore[type-abstract]
    container.meet(ProfilePages, ProfilePagesService(container))  # type: ignore[type-abstract]
    container.meet(Meter, make_meter(container))  # after Contracts, by which it counts
    container.meet(ProfileTables, PublishedProfiles(container))  # type: ignore[type-abstract]
