"""The data folder: one owner at a time, with a short folder for sockets beside it."""

import asyncio
import contextlib
import fcntl
import os
import secrets
import shutil
import stat
import tempfile
from pathlib import Path

from coffee_core.embedded.child import Owner
from coffee_core.embedded.errors import EmbeddedServerError

SOCKETS_PREFIX = "coffee-"


class DataFolder:
    """`data/`, `logs/` and a link `run` to the sockets, under one folder that only its owner may enter.

    Sockets live in /tmp, because an address of a Unix socket has at most 107 bytes (unix(7)) and a project may lie
    deeper than that.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self.run = Path()
        self._lock = -1

    async def claim(self, seconds: float) -> None:
        """Take the folder, waiting up to `seconds` for those who have it.

        The lock is inherited by every server, so that having it proves that no server of an earlier run still lives,
        not even one whose parent was killed: what they left behind may be cleared without asking.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.logs.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EmbeddedServerError(
                f"{self.path} cannot be the data folder: {error.strerror}: choose another one"
            ) from error
        try:
            async with asyncio.timeout(seconds):
                while not _locked(descriptor):  # noqa: ASYNC110 - other processes hold it: there is no event to await
                    await asyncio.sleep(0.05)
        except BaseException as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            if isinstance(error, TimeoutError):
                raise EmbeddedServerError(
                    f"{self.path} is in use by process {holder or '(unknown)'}: stop that one, or choose another folder"
                ) from None
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._lock = descriptor
        self._make_run()

    def release(self) -> None:
        """Give the folder back. Servers that still run keep it locked until they end."""
        if self._lock >= 0:
            self._clear_run()
            os.close(self._lock)
            self._lock = -1

    @property
    def lock(self) -> int:
        """The descriptor that every child inherits."""
        return self._lock

    def data(self, name: str) -> Path:
        """A server's own data."""
        return self.path / name

    def log(self, name: str) -> Path:
        """A child's log."""
        return self.logs / f"{name}.log"

    def sockets(self, name: str, owner: Owner | None) -> Path:
        """A server's socket folder: only it and we may enter."""
        folder = self.run / name
        folder.mkdir(mode=0o700, exist_ok=True)
        if owner:
            os.chown(folder, owner.uid, owner.gid)
        return folder

    def secret(self, name: str) -> str:
        """A random secret, made once and kept for the owner alone. 256 bits, URL-safe."""
        path = self.secret_file(name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            return path.read_text(encoding="ascii").strip()
        aside = path.with_name(f".{name}.{os.getpid()}")
        aside.touch(mode=0o600)
        aside.write_text(secrets.token_urlsafe(32), encoding="ascii")
        with contextlib.suppress(FileExistsError):  # another process was first: its secret holds
            os.link(aside, path)
        aside.unlink()
        return path.read_text(encoding="ascii").strip()

    def secret_file(self, name: str) -> Path:
        """Where a secret is kept."""
        return self.path / "secrets" / name

    def _make_run(self) -> None:
        self._clear_run()
        root = Path("/tmp")  # noqa: S108 - a fresh 0700 folder in it; $TMPDIR may be too deep for a socket
        self.run = Path(tempfile.mkdtemp(prefix=SOCKETS_PREFIX, dir=root if root.is_dir() else None))
        if os.geteuid() == 0:  # a server that dropped to another user has to pass through, and only that
            self.run.chmod(0o711)
        (self.path / "run").symlink_to(self.run)

    def _clear_run(self) -> None:
        """Remove the sockets of this run, or of one that was killed: the link says where they are."""
        link = self.path / "run"
        with contextlib.suppress(OSError):
            target = link.readlink()
            link.unlink()
            found = target.lstat()
            if target.name.startswith(SOCKETS_PREFIX) and stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
                shutil.rmtree(target, ignore_errors=True)


def holder_of(folder: Path) -> str | None:
    """The process that has the folder, as it wrote itself down; `None` if nobody has it."""
    try:
        with (folder / "lock").open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read(32).decode(errors="replace").strip() or "(unknown)"
    except FileNotFoundError:
        pass
    return None


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
