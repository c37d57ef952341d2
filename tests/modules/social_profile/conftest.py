"""Empty tables for each test, and the folder of real data sets."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.modules.social_profile.rig import Caller, social_profile


@pytest.fixture
async def profiles(database_url: str) -> AsyncIterator[Caller]:
    async with social_profile(database_url) as caller:
        yield caller


@pytest.fixture
def creators() -> Path:
    """The data sets of creators; a test that needs them is marked `shared_data`."""
    default = Path(__file__).parents[3] / ".." / "shared" / "data"
    folder = Path(os.environ.get("COFFEE_SHARED_DATA", default)) / "creators"
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder}: COFFEE_SHARED_DATA names their folder")
    return folder
