"""An empty resource for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.coffee_core.rest.transfer.rig import Caller, city_api


@pytest.fixture
async def city(database_url: str) -> AsyncIterator[Caller]:
    async with city_api(database_url) as caller:
        yield caller
