"""Keeps processes alive: what dies is started again, after a pause that grows; what dies at once, again and again,
stops the platform with its last words."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Protocol

from coffee_core.cli.settings import UpSettings
from coffee_core.embedded.child import Child, Command, Launch
from coffee_core.embedded.errors import EmbeddedServerError
from coffee_core.embedded.servers import ServerName, Servers

LONGEST_PAUSE_SECONDS = 30.0


class Kept(Protocol):
    """A process that is to run."""

    name: str

    async def start(self) -> None:
        """Start it and return when it answers; it is stopped again if it does not."""
        ...

    def child(self) -> Child:
        """The process of the latest start."""
        ...


class KeptPart:
    """One of our own processes."""

    def __init__(
        self, command: Command, launch: Launch, answers: Callable[[], Awaitable[bool]], settings: UpSettings
    ) -> None:
        self.name = command.name
        self._command = command
        self._launch = launch
        self._answers = answers
        self._settings = settings
        self._child = Child(command, launch)

    async def start(self) -> None:
        """Each start is a new process with the same command."""
        self._child = Child(self._command, self._launch)
        await self._child.start()
        try:
            await self._child.ready(self._answers, self._settings.ready_seconds)
        except BaseException:
            await self._child.stop(self._settings.drain_seconds)
            raise

    def child(self) -> Child:
        """The latest."""
        return self._child


class KeptServer:
    """An embedded server; it comes back at the same address."""

    def __init__(self, servers: Servers, name: ServerName) -> None:
        self.name: str = name
        self._servers = servers
        self._server: ServerName = name

    async def start(self) -> None:
        """Start it if it does not run."""
        await self._servers.start(self._server)

    def child(self) -> Child:
        """The latest."""
        return self._servers.child(self._server)


class Supervisor:
    """Runs until it is stopped, or until a process cannot be kept alive: that is the error."""

    def __init__(self, settings: UpSettings, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._say = say
        self._tasks: list[asyncio.Task[None]] = []
        self._kept: list[Kept] = []

    async def start(self, kept: Sequence[Kept]) -> None:
        """Start these together, wait until all answer, and keep them alive from now on."""
        try:
            async with asyncio.TaskGroup() as group:
                for one in kept:
                    group.create_task(one.start())
        except ExceptionGroup as failures:
            await self._stop(kept)
            raise failures.exceptions[0] from None
        self._kept.extend(kept)
        self.watch(kept)

    def watch(self, kept: Sequence[Kept]) -> None:
        """Keep these alive, which run already; whoever started them stops them."""
        self._tasks.extend(asyncio.create_task(self._keep(one), name=one.name) for one in kept)

    def also(self, work: Coroutine[None, None, None]) -> None:
        """Do this beside, until it is stopped."""
        self._tasks.append(asyncio.create_task(work))

    async def wait(self) -> None:
        """Return never; a process that cannot be kept alive is raised as its error."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    async def stop(self, first: Sequence[str] = ()) -> None:
        """Stop what was started: those named `first` one after another, so that nothing new comes in, then the rest.
        Each may drain."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for name in first:
            await self._stop([one for one in self._kept if one.name == name])
        await self._stop([one for one in self._kept if one.name not in first])

    async def _stop(self, kept: Sequence[Kept]) -> None:
        await asyncio.gather(*(one.child().stop(self._settings.drain_seconds) for one in kept))

    async def _keep(self, kept: Kept) -> None:
        clock = asyncio.get_running_loop().time
        since, deaths, pause = clock(), 0, self._settings.restart_seconds
        while True:
            status = await kept.child().wait()
            if clock() - since > self._settings.early_seconds:
                deaths, pause = 0, self._settings.restart_seconds
            deaths += 1
            if deaths >= self._settings.early_deaths:
                raise kept.child().failure(f"ended {deaths} times soon after its start, at last with status {status}")
            self._say(f"{kept.name} ended with status {status}; it is started again in {pause:g} s")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            since = clock()
            try:
                await kept.start()
            except EmbeddedServerError as error:
                self._say(error.detail)  # the next turn counts it as a death
            else:
                self._say(f"{kept.name} is back")
