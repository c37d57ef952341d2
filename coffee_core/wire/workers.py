"""Several processes behind one address: started, watched, replaced and stopped together.

The supervisor binds one SO_REUSEPORT socket for each worker and keeps it open while workers come and go, so that a
connection that waits in the kernel is never lost with the process that was to accept it.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

from coffee_core.domain.errors import CoffeeError

log: Final = logging.getLogger("coffee.wire")

Work = Callable[[Sequence[socket.socket]], None]
"""Runs one worker on its sockets until SIGTERM; it is called in a new process, before which nothing may be opened."""

_SETTLED: Final = 1.0
"""Seconds that a process must have lived to count as started well."""

_CHECK: Final = 0.05
_LONGEST_DELAY: Final = 10.0
_PR_SET_PDEATHSIG: Final = 1


class _Worker:
    """One slot: its sockets stay, its process may change."""

    def __init__(self, number: int, sockets: Sequence[socket.socket]) -> None:
        self.number = number
        self.sockets = sockets
        self.pid = 0
        self.started = 0.0
        self.failures = 0
        self.not_before = 0.0
        self.leaves = 0
        """The process that this slot's new one takes over from."""
        self.generation = 0
        """How many reloads its process knows of."""

    @property
    def settled(self) -> bool:
        """Its process has lived for a while."""
        return bool(self.pid) and time.monotonic() - self.started > _SETTLED


class Supervisor:
    """Runs `work` in one process for each list of sockets.

    A worker that dies is started again, with a growing delay while it dies young. SIGHUP calls `reload` and replaces
    the workers one after the other: the new one accepts connections before the old one drains, and stays only if it
    lives. A `CoffeeError` of `reload` is logged and leaves all as it is. SIGTERM and SIGINT drain all; a process that
    has not ended `grace` seconds after it was asked to is killed.
    """

    def __init__(
        self,
        work: Work,
        sockets: Sequence[Sequence[socket.socket]],
        *,
        grace: float = 30.0,
        reload: Callable[[], None] | None = None,
    ) -> None:
        self._work = work
        self._grace = grace
        self._reload = reload
        self._workers = [_Worker(number, own) for number, own in enumerate(sockets)]
        self._leaving: dict[int, float] = {}
        self._stopping = False
        self._asked = False
        """To reload."""
        self._generation = 0

    def run(self) -> None:
        """Until told to stop. Call it in the main thread of a process that has neither threads nor a running loop."""
        signals = {signal.SIGTERM: self._stop, signal.SIGINT: self._stop, signal.SIGHUP: self._roll}
        before = {number: signal.signal(number, handler) for number, handler in signals.items()}
        try:
            while not self._stopping:
                self._take_up()
                self._start_due()
                self._replace()
                self._reap()
                time.sleep(_CHECK)
            for worker in self._workers:
                self._ask_to_leave(worker.pid)
                self._ask_to_leave(worker.leaves)
            while self._leaving:
                self._reap()
                time.sleep(_CHECK)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _roll(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True

    def _take_up(self) -> None:
        """What was asked for by SIGHUP, outside of the signal's handler."""
        if not self._asked:
            return
        self._asked = False
        if self._reload is not None:
            try:
                self._reload()
            except CoffeeError as error:
                log.error("nothing is reloaded: %s", error.detail)  # noqa: TRY400 - the sentence says it all
                return
        self._generation += 1

    def _start_due(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if not worker.pid and worker.not_before <= now:
                self._fork(worker)

    def _replace(self) -> None:
        """One step of a rolling restart."""
        for worker in self._workers:
            if worker.leaves:
                if worker.settled:
                    self._ask_to_leave(worker.leaves)
                    worker.leaves = 0
                return
        for worker in self._workers:
            if worker.pid and worker.generation < self._generation:
                worker.leaves = worker.pid
                self._fork(worker)
                return

    def _fork(self, worker: _Worker) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        worker.started = time.monotonic()
        worker.generation = self._generation
        parent = os.getpid()
        worker.pid = os.fork()
        if worker.pid:
            log.info("worker %d is process %d", worker.number, worker.pid)
            return
        status = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal's or a group's is meant for the supervisor
            _die_with(parent)
            self._work(worker.sockets)
            status = 0
        except CoffeeError as error:
            log.error("worker %d does not start: %s", worker.number, error.detail)  # noqa: TRY400 - as above
        except BaseException:
            log.exception("worker %d failed", worker.number)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)  # the clean-up of the process it was copied from is not its own

    def _reap(self) -> None:
        now = time.monotonic()
        for pid in [pid for pid, end in self._leaving.items() if now > end]:
            log.warning("process %d did not end in time and is killed", pid)
            os.kill(pid, signal.SIGKILL)
            self._leaving[pid] = now + self._grace
        running = {worker.pid: worker for worker in self._workers if worker.pid}
        replaced = {worker.leaves: worker for worker in self._workers if worker.leaves}
        for pid in {*running, *self._leaving, *replaced}:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                was_asked = self._leaving.pop(pid, None) is not None
                if pid in replaced:
                    replaced[pid].leaves = 0
                if pid in running and self._stopping:
                    running[pid].pid = 0  # it must not be waited for a second time while others still drain
                elif pid in running:
                    self._ended(running[pid], os.waitstatus_to_exitcode(status), quiet=was_asked)

    def _ended(self, worker: _Worker, code: int, *, quiet: bool) -> None:
        if worker.leaves:  # the new one did not make it: the old one stays
            log.error("the new process of worker %d ended with %d; the old one stays", worker.number, code)
            worker.pid, worker.leaves = worker.leaves, 0
            for each in self._workers:  # and so do the others, until the next reload
                each.generation = self._generation
            return
        worker.failures = 0 if worker.settled else worker.failures + 1
        delay = min(0.1 * 2**worker.failures, _LONGEST_DELAY) if worker.failures else 0.0
        worker.pid = 0
        worker.not_before = time.monotonic() + delay
        if not quiet:
            log.warning("worker %d ended with %d; the next starts in %.1f s", worker.number, code, delay)

    def _ask_to_leave(self, pid: int) -> None:
        if pid:
            self._leaving[pid] = time.monotonic() + self._grace
            os.kill(pid, signal.SIGTERM)


def _die_with(parent: int) -> None:
    """Ask Linux for a SIGTERM when the supervisor dies, however it dies: nobody else would stop its workers."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit(1)
