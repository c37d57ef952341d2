"""Fixtures of these tests alone."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter, which pytest's own may not be."""
    folder = Path(tempfile.mkdtemp(prefix="coffee-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
