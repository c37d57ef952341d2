"""What every embedded server has in common."""

from pathlib import Path
from typing import NamedTuple, Protocol

from coffee_core.embedded.child import Command
from coffee_core.embedded.folder import DataFolder
from coffee_core.embedded.settings import EmbeddedSettings

MINIMAL_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
"""What a server sees of our environment: nothing of it is needed, and some of it is secret."""


class Site(NamedTuple):
    """Where a server lives and how it is to behave."""

    folder: DataFolder
    settings: EmbeddedSettings
    durable: bool
    """False only in tests: a power cut may then lose data, a killed process may not lose more than its last writes."""


class EmbeddedServer(Protocol):
    """One kind of server: how its data is made, how it is run, when it answers."""

    name: str

    async def prepare(self) -> Command:
        """Make what it needs, once; then the command. Called again for a restart, which keeps its address."""
        ...

    async def answers(self) -> bool:
        """Asked over its own protocol, does it serve?"""
        ...

    def url(self) -> str:
        """Its address with credentials, once it answers."""
        ...

    def close(self) -> None:
        """Let go of what `prepare` holds, after it has stopped."""
        ...


def private_folder(path: Path) -> Path:
    """The folder, made for its owner alone if it is missing."""
    path.mkdir(mode=0o700, exist_ok=True)
    return path
