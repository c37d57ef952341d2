"""What the tests ask of processes: /proc says it."""

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

WITHIN_SECONDS = 30.0


@contextlib.asynccontextmanager
async def launched(folder: Path, *names: str, **variables: str) -> AsyncIterator[Process]:
    """The launcher, just forked; at the end it is killed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.coffee_core.embedded.launcher", str(folder), *names),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | variables,
    )
    try:
        yield process
    finally:
        process.kill()
        await process.communicate()


async def served(process: Process) -> dict[str, tuple[str, int]]:
    """What the launcher says once its servers answer: {name: (url, pid)}."""
    assert process.stdout
    async with asyncio.timeout(WITHIN_SECONDS):
        return dict(json.loads(await process.stdout.readline()))


async def exists(path: Path) -> None:
    """Wait until another process has made it."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while not path.exists():  # noqa: ASYNC240 - it tells nobody
            await asyncio.sleep(0.01)


async def gone(pid: int) -> bool:
    """It ended, within a bound: dead and not yet collected by its parent counts."""
    try:
        async with asyncio.timeout(WITHIN_SECONDS):
            while _runs(pid):
                await asyncio.sleep(0.02)
    except TimeoutError:
        return False
    return True


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def parent_of(pid: int) -> int:
    """The process whose child it is."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def cmdline(pid: int) -> str:
    """Its arguments, as every user of the machine sees them."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def listening_ports(pid: int) -> list[tuple[str, int]]:
    """(address, port) of its listening TCP sockets."""
    own = {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()}
    found: list[tuple[str, int]] = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
                dotted = ".".join(str(byte) for byte in reversed(bytes.fromhex(address))) if table == "tcp" else address
                found.append((dotted, int(port, 16)))
    return found
