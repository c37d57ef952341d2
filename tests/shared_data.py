"""Real files that are not part of the repository: beside it in `../shared/data`, or where COFFEE_SHARED_DATA says."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("COFFEE_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")


def shared_file(name: str) -> Path:
    """The file; where the folder is absent the test is skipped, saying so."""
    file = FOLDER / name
    if not file.exists():
        pytest.skip(f"no {name} in {FOLDER}: set COFFEE_SHARED_DATA to the folder of the real data sets")
    return file
