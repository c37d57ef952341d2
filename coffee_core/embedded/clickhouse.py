"""ClickHouse: chDB in one process, behind ClickHouse's HTTP interface on a loopback port with a password."""

import importlib.util
import socket
import sys

from coffee_core.embedded.asking import is_well
from coffee_core.embedded.child import Command
from coffee_core.embedded.clickhouse_front.config import FrontConfig
from coffee_core.embedded.errors import MissingServerError
from coffee_core.embedded.server import MINIMAL_ENVIRONMENT, Site, private_folder

USER = "coffee"


class ClickHouse:
    """The port is ours: we listen, the child accepts. So nobody can take it, and a restart keeps it."""

    name = "clickhouse"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._socket: socket.socket | None = None
        self._password = ""

    async def prepare(self) -> Command:
        """The command; the password is read from a file, not from the process list."""
        if importlib.util.find_spec("chdb") is None:
            raise MissingServerError("ClickHouse (chDB)", url_setting="COFFEE_CLICKHOUSE_URL")
        data = private_folder(self._site.folder.data(self.name))
        self._password = self._site.folder.secret("clickhouse_password")
        if self._socket is None:
            self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        settings = self._site.settings
        config = FrontConfig(
            descriptor=self._socket.fileno(),
            folder=str(data),
            password_file=str(self._site.folder.secret_file("clickhouse_password")),
            queries=settings.clickhouse_queries,
            queue=settings.clickhouse_queue,
            body_bytes=settings.clickhouse_body_bytes,
            drain_seconds=settings.stop_seconds / 2,
            idle_seconds=settings.clickhouse_idle_seconds,
        )
        return Command(
            name=self.name,
            argv=[sys.executable, "-P", "-m", "coffee_core.embedded.clickhouse_front", config.to_argument()],
            cwd=data,
            log=self._site.folder.log(self.name),
            env=MINIMAL_ENVIRONMENT,
            pass_fds=(self._site.folder.lock, config.descriptor),
        )

    async def answers(self) -> bool:
        """`/ping` is answered, which it is once the data is open."""
        return await is_well("127.0.0.1", self._port(), "/ping")

    def url(self) -> str:
        """As `clickhouse_connect.get_async_client(dsn=...)` reads it."""
        return f"http://{USER}:{self._password}@127.0.0.1:{self._port()}/default"

    def close(self) -> None:
        """Stop listening."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _port(self) -> int:
        assert self._socket is not None, "prepare() opens it"
        return int(self._socket.getsockname()[1])
