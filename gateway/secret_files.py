"""Secrets in files, read anew when they change: a rotation needs no restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from coffee_core.domain.errors import CoffeeError
from coffee_core.domain.secrets import weak_secret

log = logging.getLogger(__name__)

MAX_BYTES = 1 << 16
MAX_SECRETS = 16


def read_secrets(path: Path) -> tuple[str, ...]:
    """One secret a line, the present one first; empty lines and lines that begin with `#` do not count. `CoffeeError`
    for a file that is not there, has none, or a weak one; no secret is in its text.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CoffeeError(f"{path}: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise CoffeeError(f"{path}: longer than {MAX_BYTES} bytes")
    try:
        lines = [line.strip() for line in raw.decode().splitlines()]
    except UnicodeDecodeError:
        raise CoffeeError(f"{path}: not UTF-8") from None
    secrets = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not 1 <= len(secrets) <= MAX_SECRETS:
        raise CoffeeError(f"{path}: {len(secrets)} secrets; one a line, at most {MAX_SECRETS}")
    weak = [number for number, secret in enumerate(secrets, 1) if weak_secret(secret)]
    if weak:
        raise CoffeeError(f"{path}: secret {weak[0]} is too weak: at least 32 random bytes")
    return secrets


class Watched(NamedTuple):
    """A file, and who is told what is in it."""

    path: Path
    changed: Callable[[Sequence[str]], None]


class SecretFiles:
    """Looks at the files every so many seconds. A file that has become unreadable or weak changes nothing: the last
    good secrets stay, and the log says why.
    """

    def __init__(self, files: Sequence[Watched], every: float) -> None:
        self._files = files
        self._every = every
        self._known = {file.path: read_secrets(file.path) for file in files}
        self._seen: dict[Path, object] = {file.path: _state(file.path) for file in files}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look from now on."""
        if self._files:
            self._task = asyncio.get_running_loop().create_task(self._watch(), name="secret files")

    async def stop(self) -> None:
        """Look no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            for file in self._files:
                self.look(file)

    def look(self, file: Watched) -> None:
        """Tell of a change, if there is one."""
        state = _state(file.path)
        if state == self._seen[file.path]:
            return
        self._seen[file.path] = state
        try:
            secrets = read_secrets(file.path)
        except CoffeeError as error:
            log.error("the secrets stay as they were: %s", error.detail)  # noqa: TRY400 - the text says it all
            return
        if secrets != self._known[file.path]:
            self._known[file.path] = secrets
            file.changed(secrets)
            log.info("%s: %d secrets from now on", file.path, len(secrets))


def _state(path: Path) -> object:
    """Changes with the file, also where a link is turned to another one."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
