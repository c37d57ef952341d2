"""The module on PostgreSQL, with profiles that it is told about by its need."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

import pytest
from pydantic import SecretStr

from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.rest.container import Container
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.testing.api_client import ApiClient
from coffee_core.testing.events import RecordedEvents
from coffee_core.testing.running import migrate, running
from modules.profile_collection.module import PROFILE_COLLECTION
from modules.profile_collection.needs import ProfileNumbers

PARTNERS = itertools.count(7_000_000)


class Known(NamedTuple):
    code: str
    name: str | None
    followers: int | None
    thumbnail: str | None = None
    engagement_rate: float | None = None


class Numbers:
    """Meets `ProfileNumbers`; counts how often it is asked."""

    def __init__(self) -> None:
        self.profiles = {"UC1": Known("UC1", "One", 1_000), "UC2": Known("UC2", "Two", 2_000)}
        self.asked = 0

    async def numbers(self, platform: str, codes: Sequence[str]) -> Mapping[str, Known]:
        self.asked += 1
        return {code: self.profiles[code] for code in codes if platform == "YOUTUBE" and code in self.profiles}


@pytest.fixture(scope="module")
def numbers() -> Numbers:
    return Numbers()


@pytest.fixture(scope="module")
def announced() -> RecordedEvents:
    return RecordedEvents()


@pytest.fixture(scope="module")
async def application(database_url: str, numbers: Numbers, announced: RecordedEvents) -> AsyncIterator[ApiClient]:
    def meet(container: Container) -> None:
        container.meet(ProfileNumbers, numbers)  # type: ignore[type-abstract]  # mypy #4717: a Protocol as a key

    await migrate(database_url, [PROFILE_COLLECTION])
    store = PostgresStore(DatabaseSettings(url=SecretStr(database_url), read_url=SecretStr(""), pool_max=8))
    await store.open()
    try:
        async with running([PROFILE_COLLECTION], store, events=announced, wiring=meet) as api:
            yield api
    finally:
        await store.close()


@pytest.fixture
def api(application: ApiClient, announced: RecordedEvents) -> ApiClient:
    """A caller of a partner that no other test has."""
    announced.raised.clear()
    return application.as_partner(next(PARTNERS))


@pytest.fixture
def stranger(application: ApiClient) -> ApiClient:
    """Somebody of another partner."""
    return application.as_partner(next(PARTNERS))
