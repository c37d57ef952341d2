"""One child process: started, watched, stopped, and never outliving its parent."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, TypeVar

from coffee_core.embedded.errors import EmbeddedServerError

LOG_BYTES = 16 << 20
"""A log larger than this goes to `NAME.log.1`, and the one that was there is gone: see `bound_log`."""

TAIL_LINES = 20


T = TypeVar("T")
"""What a future is settled with."""


class Owner(NamedTuple):
    """Whom a child of root becomes."""

    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to run and how to end it. Relative paths in `argv` are read in `cwd`."""

    name: str
    argv: Sequence[str | Path]
    cwd: Path
    log: Path
    """Standard output and error are appended here."""

    env: Mapping[str, str] = field(default_factory=dict)
    """The whole environment: nothing is inherited, so that secrets and PG* variables stay here."""

    stop_signal: signal.Signals = signal.SIGTERM
    """Asks it to stop; also sent by the kernel when this process dies, however it dies."""

    owner: Owner | None = None
    pass_fds: tuple[int, ...] = ()


class Running(Protocol):
    """A process that was launched: `subprocess.Popen`, or what stands for one that another process has forked."""

    @property
    def pid(self) -> int:
        """Its process id, and that of the group that it leads."""
        ...

    def wait(self) -> int:
        """Block until it has ended: its exit status, negative for a signal."""
        ...

    def send_signal(self, number: int, /) -> None:
        """To the process alone; nothing if it has ended."""
        ...


def execute(command: Command) -> Running:
    """Fork this process and become the program. The child dies with the thread that calls this: see `Child`."""
    owner = f"{command.owner.uid}:{command.owner.gid}" if command.owner else "-"
    wrapper = [sys.executable, "-I", "-S", str(Path(__file__).with_name("bound.py"))]
    tie = [str(os.getpid()), str(int(command.stop_signal)), owner, str(command.cwd)]
    with open_log(command.log) as log:
        return subprocess.Popen(  # noqa: S603 - argv is ours; no shell
            [*wrapper, *tie, *map(str, command.argv)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(command.env),
            pass_fds=command.pass_fds,
            start_new_session=True,  # Ctrl-C goes to us alone; we stop the children in order
        )


Launch = Callable[[Command], Running]
"""Called in a thread that lives as long as the child does."""


class Child:
    """A running command. Its thread forks it and waits for it: the kernel sends the death signal when the *thread* that
    forked ends (prctl(2)), so that thread has to live as long as the child."""

    def __init__(self, command: Command, launch: Launch = execute) -> None:
        self.command = command
        self._launch = launch
        self._process: Running | None = None
        self._exit: asyncio.Future[int] | None = None

    @property
    def pid(self) -> int:
        """Its process id; 0 before the start."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Started, and not seen to end."""
        return self._exit is not None and not self._exit.done()

    async def start(self) -> None:
        """Fork it. That it runs does not mean that it answers: see `ready`."""
        loop = asyncio.get_running_loop()
        started: asyncio.Future[None] = loop.create_future()
        self._exit = loop.create_future()
        threading.Thread(
            target=self._live, args=(loop, started, self._exit), name=f"child-{self.command.name}", daemon=True
        ).start()
        await asyncio.shield(started)

    def _live(self, loop: asyncio.AbstractEventLoop, started: asyncio.Future[None], ended: asyncio.Future[int]) -> None:
        try:
            process = self._process = self._launch(self.command)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the waiting coroutine has to hear of it
            _post(loop, started, error)
            _post(loop, ended, 127)
            return
        _post(loop, started, None)
        _post(loop, ended, process.wait())

    async def wait(self) -> int:
        """Its exit status when it has ended; negative for a signal, as `subprocess` has it."""
        assert self._exit is not None, "start() it first"
        return await asyncio.shield(self._exit)

    async def ready(self, answers: Callable[[], Awaitable[bool]], seconds: float) -> None:
        """Return once `answers()` is true; if it ends first, or time runs out, the error quotes its last log lines."""
        ended = asyncio.ensure_future(self.wait())
        try:
            async with asyncio.timeout(seconds):
                while not await answers():
                    await asyncio.wait([ended], timeout=0.02)
                    if ended.done():
                        raise self.failure(f"ended with status {ended.result()} before it answered")
        except TimeoutError:
            raise self.failure(f"did not answer within {seconds:g} s") from None
        finally:
            ended.cancel()

    async def finish(self) -> None:
        """Start it and wait for its end; any status but 0 is an error with its last log lines."""
        await self.start()
        try:
            status = await self.wait()
        except asyncio.CancelledError:
            self._signal_group(signal.SIGKILL)
            raise
        if status:
            raise self.failure(f"failed with status {status}")

    async def stop(self, seconds: float) -> int | None:
        """Ask it to stop, and kill it with its own children after `seconds`. Its status; `None` if it never ran."""
        if self._exit is None or self._process is None:
            return None
        if not self._exit.done():
            self._process.send_signal(self.command.stop_signal)
        try:
            async with asyncio.timeout(seconds):
                return await self.wait()
        except TimeoutError:
            self._signal_group(signal.SIGKILL)
            return await self.wait()

    def _signal_group(self, number: signal.Signals) -> None:
        if self._process and self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def failure(self, what: str) -> EmbeddedServerError:
        """The error that says what happened, with the last lines of the log."""
        return EmbeddedServerError(f"{self.command.name} {what}; the end of {self.command.log}:\n{self.tail()}")

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines that it wrote."""
        with contextlib.suppress(OSError):
            with self.command.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 16384))
                text = log.read().decode("utf-8", "replace")
            return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])
        return "  (nothing was written)"


def bound_log(log: Path, limit: int = LOG_BYTES) -> None:
    """Begin the log anew if it is too large, keeping the last one. Its writer, who appends, may go on writing."""
    if log.exists() and log.stat().st_size > limit:
        shutil.copy2(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)


def open_log(log: Path) -> BinaryIO:
    """To append to, for its owner alone."""
    bound_log(log)
    return open(log, "ab", opener=_private)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _post(loop: asyncio.AbstractEventLoop, future: asyncio.Future[T], outcome: T | BaseException) -> None:
    """Settle a future from the child's thread; a loop that is closed no longer cares."""

    def settle() -> None:
        if not future.done():
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(settle)
