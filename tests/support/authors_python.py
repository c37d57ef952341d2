"""A Python process of its own, as the author of a module has one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_module(*command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m` with this command, in a folder, without what this test run has set."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COFFEE_"))}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
