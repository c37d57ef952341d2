"""A process that has imported what the platform's commands need, and forks one for each command: none of them imports
it again, and they share its memory as long as they do not write to it.

It has one thread, so a fork of it is a whole process. It and those it forked die with the process that started it.
"""

import contextlib
import ctypes
import gc
import io
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, NoReturn

from coffee_core.cli.title import set_title

MESSAGE_BYTES = 1 << 20
PR_SET_PDEATHSIG = 1


class Asked(NamedTuple):
    """One command, as it goes over the socket; with it go the channel that tells of it, and its log."""

    arguments: Sequence[str]
    """Of `coffee`."""
    env: Mapping[str, str]
    cwd: str
    stop_signal: int

    def to_bytes(self) -> bytes:
        """As JSON."""
        return json.dumps(self).encode()


class Forked(NamedTuple):
    """One that runs, as the server knows it."""

    pid: int
    channel: socket.socket


def run(
    control: socket.socket, parent: int, warm: Callable[[], None], work: Callable[[Sequence[str]], None]
) -> NoReturn:
    """In a new process: import, then fork for each request until `parent` closes `control` or dies.

    In a forked process `work` runs with the arguments, and its end is the end of the process.
    """
    os.setsid()  # Ctrl-C is meant for the parent
    die_with(parent, signal.SIGKILL)
    os.closerange(3, control.fileno())  # what the parent was given by its own, as `subprocess` does
    os.closerange(control.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    set_title("coffee fork server")
    # As the documentation of `gc.freeze` has it: nothing is freed before the fork whose pages a child would then write
    # to, and in the children nobody looks through what they share.
    gc.disable()
    warm()
    gc.freeze()
    arguments = _serve(control)
    gc.enable()
    work(arguments)
    sys.exit(0)


def die_with(parent: int, number: signal.Signals) -> None:
    """Ask Linux for this signal when the thread that forked us ends, however it does."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it died before: no signal will come
        sys.exit(0)


def _serve(control: socket.socket) -> Sequence[str]:
    """Returns in a forked process, with its arguments. In the server: never."""
    running: dict[int, Forked] = {}  # by the descriptor that says when it ends
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready != control.fileno():
                poll.unregister(ready)
                _tell_end(running.pop(ready), ready)
                continue
            text, descriptors, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 2)
            if not text:
                sys.exit(0)
            channel, log = socket.socket(fileno=descriptors[0]), descriptors[1]
            server = os.getpid()
            pid = os.fork()
            if not pid:
                for descriptor, other in running.items():
                    os.close(descriptor)
                    other.channel.close()
                control.close()
                return _become(Asked(*json.loads(text)), channel, log, server)
            os.close(log)
            watched = os.pidfd_open(pid)
            running[watched] = Forked(pid, channel)
            poll.register(watched, select.POLLIN)


def _tell_end(forked: Forked, watched: int) -> None:
    os.close(watched)
    _, status = os.waitpid(forked.pid, 0)
    with forked.channel, contextlib.suppress(OSError):  # nobody waits for it any more
        forked.channel.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(asked: Asked, channel: socket.socket, log: int, server: int) -> Sequence[str]:
    """All that `embedded.bound` and `subprocess` do for one that is executed."""
    os.setsid()
    with channel:
        watched = os.pidfd_open(os.getpid())
        socket.send_fds(channel, [str(os.getpid()).encode()], [watched])
        os.close(watched)
    die_with(server, signal.Signals(asked.stop_signal))
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, standard in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(ours, standard)
    os.close(nothing)
    os.close(log)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(write_through=True)  # a log that is read after a crash has to have the last lines
    os.umask(0o077)
    os.chdir(asked.cwd)
    os.environ.clear()
    os.environ.update(asked.env)
    set_title(" ".join(["coffee", *asked.arguments]))
    return asked.arguments
