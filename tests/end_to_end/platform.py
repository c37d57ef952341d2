"""The whole platform as its user starts it: `coffee up` as a process of its own, and what speaks to it."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from tests.support.ports import free_ports

ROOT = Path(__file__).parents[2]
COFFEE = [sys.executable, "-m", "coffee_core.cli.main"]


class Process:
    """A `coffee` command that runs until it is told to stop."""

    def __init__(self, arguments: list[str], env: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._before = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*COFFEE, *arguments], cwd=ROOT, env=dict(env), stdout=out, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def said(self) -> str:
        """What this run of it has printed."""
        return self.log.read_bytes()[self._before :].decode("utf-8", errors="replace")

    async def until_it_says(self, sentence: str, seconds: float = 180) -> None:
        """Wait for a sentence in its output."""
        async with asyncio.timeout(seconds):
            while sentence not in self.said():
                if self.process.poll() is not None:
                    raise AssertionError(f"ended with {self.process.returncode}:\n{self.said()[-4000:]}")
                await asyncio.sleep(0.05)

    async def until_it_answers(self, url: str, seconds: float = 30) -> None:
        """Wait for a success at `url`."""
        async with asyncio.timeout(seconds), httpx2.AsyncClient(trust_env=False) as client:
            while True:
                if self.process.poll() is not None:
                    raise AssertionError(f"ended with {self.process.returncode}:\n{self.said()[-4000:]}")
                try:
                    if (await client.get(url)).is_success:
                        return
                except httpx2.HTTPError:
                    pass
                await asyncio.sleep(0.05)

    async def stop(self, number: int = signal.SIGINT, seconds: float = 20) -> int:
        """Ctrl-C, and how it ended."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        async with asyncio.timeout(seconds):
            while self.process.poll() is None:  # not a thread that waits: one would outlive the bound
                await asyncio.sleep(0.02)
        return self.process.returncode

    def kill(self) -> None:
        """For a test that has failed."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Platform:
    """Ports and secrets of one platform, its folder, and the processes started for it."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self.gateway_port, modules, data, metrics, self.second_port = free_ports(5)
        self.gateway = f"http://127.0.0.1:{self.gateway_port}"
        self.second = f"http://127.0.0.1:{self.second_port}"
        given = {name: value for name, value in os.environ.items() if not name.startswith("COFFEE_")}
        self.env = {
            **given,
            "COFFEE_UP_FOLDER": str(folder / "data"),
            "COFFEE_REDIS_URL": redis_url,
            "COFFEE_JWT_SECRET": secrets.token_urlsafe(48),
            "COFFEE_IDENTITY_SIGNING_KEY": secrets.token_urlsafe(48),
            "COFFEE_GATEWAY_PORT": str(self.gateway_port),
            "COFFEE_MODULES_PORT": str(modules),
            "COFFEE_DATA_PORT": str(data),
            "COFFEE_METRICS_PORT": str(metrics),
            "PYTHONUNBUFFERED": "1",
        }
        self.second_env = {
            **self.env,
            "COFFEE_GATEWAY_PORT": str(self.second_port),
            "COFFEE_METRICS_PORT": str(free_ports(1)[0]),
            "COFFEE_SAAS_URL": f"http://127.0.0.1:{modules}",
            "COFFEE_SAAS_DATA_URL": f"http://127.0.0.1:{data}",
            "COFFEE_IDENTITY_URL": f"http://127.0.0.1:{modules}",
        }

    @asynccontextmanager
    async def up(self, *options: str) -> AsyncIterator[Process]:
        """`coffee up`, until the end of the block."""
        process = Process(["up", *options], self.env, self.folder / "up.log")
        try:
            await process.until_it_says("Coffee is up")
            yield process
            await process.stop()
        finally:
            process.kill()

    @asynccontextmanager
    async def second_gateway(self) -> AsyncIterator[Process]:
        """A second gateway before the same platform."""
        process = Process(["gateway"], self.second_env, self.folder / "second.log")
        try:
            await process.until_it_answers(f"{self.second}/health/ready")
            yield process
            await process.stop()
        finally:
            process.kill()
