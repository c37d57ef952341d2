"""Root's servers that refuse to be root: whom they become, and programs that this user can reach."""

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from pathlib import Path

from coffee_core.embedded.child import Owner
from coffee_core.embedded.errors import EmbeddedServerError


def server_owner() -> Owner | None:
    """`nobody` if we are root, else `None`: we stay who we are. No user is made for it."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedServerError(
            "PostgreSQL does not run as root and there is no user `nobody` to become: start as an ordinary user"
        ) from None
    return Owner(entry.pw_uid, entry.pw_gid)


def reachable_programs(bindir: Path, owner: Owner | None) -> Path:
    """`bindir`, or a copy of its installation where `owner` cannot enter it (a virtual environment under /root).

    The copy is made once, in /var/tmp, owned by root and read by all; no permission of an existing folder is changed.
    """
    bindir = bindir.resolve()
    if owner is None or all(_enterable(folder, owner) for folder in (bindir, *bindir.parents)):
        return bindir
    prefix = bindir.parent
    package = prefix.parent
    facts = (bindir / "postgres").stat()
    name = hashlib.sha256(f"{bindir} {facts.st_size} {facts.st_mtime_ns}".encode()).hexdigest()[:16]
    copy = Path("/var/tmp", f"coffee-postgres-{name}")  # noqa: S108 - ownership is checked below
    if not copy.exists():
        aside = Path(tempfile.mkdtemp(prefix="coffee-postgres-", dir=copy.parent))
        # auditwheel puts shared libraries into `<package>.libs`; the programs find them relative to themselves
        for source in (prefix, package.with_name(f"{package.name}.libs")):
            if source.is_dir():
                shutil.copytree(source, aside / source.relative_to(package.parent), symlinks=True)
        for path in (aside, *aside.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        try:
            aside.rename(copy)
        except OSError:  # another process was first
            shutil.rmtree(aside)
    found = copy.lstat()
    if found.st_uid != 0 or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o022:
        raise EmbeddedServerError(f"{copy} is not a folder that root alone may write: remove it")
    return copy / bindir.relative_to(package.parent)


def _enterable(folder: Path, owner: Owner) -> bool:
    facts = folder.stat()
    if facts.st_uid == owner.uid:
        return bool(facts.st_mode & stat.S_IXUSR)
    if facts.st_gid == owner.gid:
        return bool(facts.st_mode & stat.S_IXGRP)
    return bool(facts.st_mode & stat.S_IXOTH)
