"""`coffee up`: the whole platform on this machine."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from coffee_core.cli import plugins
from coffee_core.cli.forks import Forks
from coffee_core.cli.greeting import greeting
from coffee_core.cli.main import main
from coffee_core.cli.parts import (
    DataPlane,
    Part,
    Ports,
    answers,
    choose_ports,
    command,
    missing_servers,
    parts,
    shared_variables,
)
from coffee_core.cli.ports import write_ports
from coffee_core.cli.settings import PlatformSettings, UpSettings
from coffee_core.cli.supervisor import Kept, KeptPart, KeptServer, Supervisor
from coffee_core.embedded.child import Child, bound_log
from coffee_core.embedded.folder import DataFolder
from coffee_core.embedded.servers import Servers

LOG_CHECK_SECONDS = 60.0


def up(
    folder: Annotated[
        Path | None, typer.Option(help="Data, logs and secrets; COFFEE_UP_FOLDER or .coffee if not given.")
    ] = None,
    demo: Annotated[bool, typer.Option(help="Demo partners and sample data.")] = True,
    data_plane: Annotated[
        DataPlane, typer.Option(help="Who moves the bytes: the gateway itself, or nginx, asking it for verdicts.")
    ] = DataPlane.GATEWAY,
) -> None:
    """Run the whole platform on this machine, with embedded servers for those that no URL names. Ctrl-C stops it."""
    forks = Forks.begin(_warm, main)
    settings = UpSettings() if folder is None else UpSettings(folder=folder)
    try:
        asyncio.run(Platform(PlatformSettings(), settings, Console(highlight=False), data_plane, forks).run(demo=demo))
    finally:
        forks.close()


def _warm() -> None:
    from coffee_core.cli.warm import warm  # in the fork server alone: it imports the whole platform

    warm()


async def _bound_logs(folder: Path) -> None:
    """Now and then, keep each log within its bound."""
    while True:
        await asyncio.sleep(LOG_CHECK_SECONDS)
        for log in await asyncio.to_thread(lambda: list(folder.glob("*.log"))):
            await asyncio.to_thread(bound_log, log)


async def _together(*works: Coroutine[None, None, None]) -> None:
    """Do them at the same time; the first that fails stops the others, and is the error."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


class Platform:
    """One run: servers, migrations, demo data, processes; and everything back again."""

    def __init__(
        self,
        settings: PlatformSettings,
        up_settings: UpSettings,
        console: Console,
        data_plane: DataPlane,
        forks: Forks,
    ) -> None:
        self._forks = forks
        self._data_plane = data_plane
        self._settings = settings
        self._up = up_settings
        self._console = console
        self._supervisor = Supervisor(up_settings, self._say)

    async def run(self, *, demo: bool) -> None:
        """Until a signal stops it; what keeps it from running is an error."""
        begun = time.monotonic()
        running = asyncio.ensure_future(self._run(demo=demo, begun=begun))
        loop = asyncio.get_running_loop()

        def stop() -> None:
            # Once: in order. The children of one who insists are ended by the kernel, as we end.
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, lambda: signal.raise_signal(signal.SIGKILL))
            self._say("stopping; once more to stop at once")
            running.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        with contextlib.suppress(asyncio.CancelledError):
            await running
        self._say("stopped; the data stays")

    async def _run(self, *, demo: bool, begun: float) -> None:
        installed = plugins.command_names()
        async with Servers(self._up.folder) as servers:
            folder = servers.folder
            missing = missing_servers(self._settings)
            async with self._step(f"embedded servers: {', '.join(missing)}" if missing else "servers given by URL"):
                urls = await servers.start_all(missing)
            ports = choose_ports(self._settings, self._data_plane)
            write_ports(folder.path, ports)
            self._say_moved_ports(ports)
            variables = shared_variables(self._settings, urls, folder, ports)
            if "migrate" in installed:
                async with self._step("migrations"):
                    await self._finish("migrate", folder, variables)
            wanted_parts = parts(ports, folder.path)
            there = [part for part in wanted_parts if part.arguments[0] in installed]
            kept: list[Kept] = [
                KeptPart(
                    command(part.name, part.arguments, folder, {**variables, **part.variables}, part.stop_signal),
                    partial(self._forks.launch, part.arguments),
                    partial(answers, part.base_url),
                    self._up,
                )
                for part in there
            ]
            try:
                self._supervisor.watch([KeptServer(servers, name) for name in missing])
                self._supervisor.also(_bound_logs(folder.logs))
                demo = demo and "demo" in installed
                async with self._step(f"processes: {', '.join(part.name for part in there)}"):
                    await _together(
                        self._supervisor.start(kept), *([self._finish("demo", folder, variables)] if demo else [])
                    )
                self._say_absent(there, wanted_parts)
                seconds = time.monotonic() - begun
                self._say(greeting(there, ports, urls, folder.path, seconds, demo=demo))
                await self._supervisor.wait()
            finally:
                await self._supervisor.stop(first=["nginx", "gateway"])

    async def _finish(self, name: str, folder: DataFolder, variables: Mapping[str, str]) -> None:
        """Run a command to its end."""
        await Child(command(name, (name,), folder, variables), partial(self._forks.launch, (name,))).finish()

    @contextlib.asynccontextmanager
    async def _step(self, what: str) -> AsyncIterator[None]:
        begun = time.monotonic()
        with self._console.status(what):
            yield
        self._console.print(f"[green]✓[/] {what} [dim]{time.monotonic() - begun:.1f} s[/]")

    def _say(self, sentence: str) -> None:
        self._console.print(sentence, markup=False, soft_wrap=True)  # lines to paste stay whole

    def _say_moved_ports(self, ports: Ports) -> None:
        for name, chosen in (
            ("gateway", ports.door), ("modules", ports.modules), ("data", ports.data), ("metrics", ports.metrics),
        ):  # fmt: skip
            wanted = getattr(self._settings, f"{name}_port")
            if wanted != chosen:
                self._say(f"port {wanted} is taken: {name} is on {chosen}")

    def _say_absent(self, there: Sequence[Part], wanted: Sequence[Part]) -> None:
        absent = {part.arguments[0] for part in wanted} - {part.arguments[0] for part in there}
        for name in sorted(absent):
            self._say(f"no package brings the command `coffee {name}`: the platform runs without it")
