"""All embedded servers of one data folder."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Literal, NamedTuple, Self, TypeAlias

from coffee_core.embedded.child import Child
from coffee_core.embedded.clickhouse import ClickHouse
from coffee_core.embedded.errors import EmbeddedServerError
from coffee_core.embedded.folder import DataFolder
from coffee_core.embedded.nats import Nats
from coffee_core.embedded.postgres import Postgres
from coffee_core.embedded.server import EmbeddedServer, Site
from coffee_core.embedded.settings import EmbeddedSettings
from coffee_core.embedded.valkey import Valkey

ServerName: TypeAlias = Literal["postgres", "valkey", "nats", "clickhouse"]


class ServerUrls(NamedTuple):
    """Where the servers answer; `None` for one that was not wanted."""

    database_url: str | None
    redis_url: str | None
    broker_url: str | None
    clickhouse_url: str | None


class Servers:
    """Starts each server when it is first asked for, and stops them all.

        async with Servers(Path(".coffee")) as servers:
            connection = await asyncpg.connect(await servers.start("postgres"))

    One owner per folder at a time; another is `EmbeddedServerError`. If this process dies, the servers stop.
    """

    def __init__(self, folder: Path, *, settings: EmbeddedSettings | None = None, durable: bool = True) -> None:
        self.settings = settings or EmbeddedSettings()
        self.folder = DataFolder(folder)
        site = Site(self.folder, self.settings, durable)
        self._servers: dict[ServerName, EmbeddedServer] = {
            "postgres": Postgres(site),
            "valkey": Valkey(site),
            "nats": Nats(site),
            "clickhouse": ClickHouse(site),
        }
        self._children: dict[ServerName, Child] = {}
        self._starting: dict[ServerName, asyncio.Lock] = {name: asyncio.Lock() for name in self._servers}

    async def __aenter__(self) -> Self:
        if not sys.platform.startswith("linux"):
            raise EmbeddedServerError(
                f"embedded servers run on Linux, not on {sys.platform}: name running ones with COFFEE_DATABASE_URL, "
                "COFFEE_REDIS_URL, COFFEE_BROKER_URL and COFFEE_CLICKHOUSE_URL"
            )
        await self.folder.claim(self.settings.lock_seconds)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        self.folder.release()

    async def start(self, name: ServerName) -> str:
        """The URL of a server that answers: started if it does not run, restarted at the same address if it died."""
        server = self._servers[name]
        async with self._starting[name]:
            child = self._children.get(name)
            if child is None or not child.running:
                child = self._children[name] = Child(await server.prepare())
                await child.start()
                try:
                    await child.ready(server.answers, self.settings.start_seconds)
                except BaseException:
                    await child.stop(self.settings.stop_seconds)
                    raise
            return server.url()

    async def start_all(self, wanted: Collection[ServerName]) -> ServerUrls:
        """Start the wanted ones together; the first that fails stops the others' starting, and is the error."""
        starts: dict[ServerName, asyncio.Task[str]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                starts = {name: group.create_task(self.start(name)) for name in wanted}
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        url = {name: start.result() for name, start in starts.items()}
        return ServerUrls(url.get("postgres"), url.get("valkey"), url.get("nats"), url.get("clickhouse"))

    def child(self, name: ServerName) -> Child:
        """The process of a server that was started; it can be waited for."""
        return self._children[name]

    async def stop(self) -> None:
        """Stop all that run, together, and wait for them."""
        await asyncio.gather(*(child.stop(self.settings.stop_seconds) for child in self._children.values()))
        for server in self._servers.values():
            server.close()


@contextlib.asynccontextmanager
async def embedded_servers(
    folder: Path,
    wanted: Collection[ServerName],
    *,
    settings: EmbeddedSettings | None = None,
    durable: bool = True,
) -> AsyncIterator[ServerUrls]:
    """Start the wanted servers together, and stop them at the end of the block."""
    async with Servers(folder, settings=settings, durable=durable) as servers:
        yield await servers.start_all(wanted)
