"""Children that the fork server forks, seen from the process that wants them."""

import contextlib
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Self

from coffee_core.cli import fork_server
from coffee_core.embedded.child import Command, Running, execute, open_log


class ForkedProcess:
    """In the place of `subprocess.Popen`: the process is another's child, which tells of its end."""

    def __init__(self, pid: int, watched: int, channel: socket.socket) -> None:
        self.pid = pid
        self._watched = watched
        """A descriptor of the process itself: no other gets its id meanwhile."""
        self._channel = channel

    def wait(self) -> int:
        """Block until it has ended. Of one whose server was killed no status is known: it counts as killed."""
        with self._channel:
            told = self._channel.recv(32)
        if told:
            return int(told)
        ended = select.poll()  # the server is gone: the signal of its death ends this one too
        ended.register(self._watched, select.POLLIN)
        ended.poll()
        return -signal.SIGKILL

    def send_signal(self, number: int, /) -> None:
        """Nothing if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._watched, number)

    def __del__(self) -> None:
        os.close(self._watched)


class Forks:
    """The fork server, and what is asked of it. Where it cannot be, or is no more, commands are executed as usual."""

    def __init__(self, control: socket.socket | None) -> None:
        self._control = control

    @classmethod
    def begin(cls, warm: Callable[[], None], work: Callable[[Sequence[str]], None]) -> Self:
        """Fork the server; call it while this process has one thread and no loop. It runs `warm` while we go on, then
        `work(arguments)` in a process for each command."""
        if not _supported():
            return cls(None)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        sys.stderr.flush()
        gc.freeze()  # what is here is shared as long as nobody writes to it, and to look through it is to write
        parent = os.getpid()
        if not os.fork():
            ours.close()
            fork_server.run(theirs, parent, warm, work)
        theirs.close()
        return cls(ours)

    def launch(self, arguments: Sequence[str], command: Command) -> Running:
        """`coffee ARGUMENTS`, forked: `command` says how it would be executed. Blocks until the server has time."""
        if self._control is None:
            return execute(command)
        asked = fork_server.Asked(arguments, command.env, str(command.cwd), command.stop_signal)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs, open_log(command.log) as log:
                socket.send_fds(self._control, [asked.to_bytes()], [theirs.fileno(), log.fileno()])
            pid, descriptors, _, _ = socket.recv_fds(ours, 32, 1)
        except OSError:  # it was killed, or an environment is too large to be sent
            pid, descriptors = b"", []
        if not descriptors:
            ours.close()
            return execute(command)
        return ForkedProcess(int(pid), descriptors[0], ours)

    def close(self) -> None:
        """End the server, and with it whatever it has forked and still runs."""
        if self._control is not None:
            self._control.close()
            self._control = None


def _supported() -> bool:
    """Linux since 5.3; a container may forbid it."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True
