"""The contract itself is held to something: it notices every broken store."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.coffee_core.testing.broken_stores import BROKEN

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def noticed() -> str:
    """What pytest prints about the broken stores, each run with the test that has to notice it."""
    options = ["-q", "-s", "-p", "tests.coffee_core.testing.noticing", "-p", "no:cacheprovider", "--tb=short"]
    classes = ["-o", "python_classes=*StoreContract", str(HERE / "broken_stores.py")]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *classes],
        cwd=HERE.parents[2],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    return run.stdout


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_store_is_noticed(noticed: str, name: str) -> None:
    assert f"noticed: {name}" in noticed, noticed
