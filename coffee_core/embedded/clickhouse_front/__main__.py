"""The process that has the socket. It starts the engine in a process of its own when somebody comes; that one ends
again when nobody has come for a while, and so gives back what it takes.

Nothing is imported here that is not needed to wait: the engine's process imports the rest.
"""

import ctypes
import os
import select
import signal
import sys
from types import FrameType

from coffee_core.embedded.clickhouse_front.config import FrontConfig

PR_SET_PDEATHSIG = 1


class Door:
    """Waits, and keeps one engine at a time."""

    def __init__(self, config: FrontConfig) -> None:
        self._config = config
        self._engine = 0
        """The process of the engine that is awake."""
        self._stopping = False

    def keep(self) -> int:
        """Until SIGTERM or SIGINT, or until an engine fails: the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        somebody = select.poll()
        somebody.register(self._config.descriptor, select.POLLIN)
        while True:
            somebody.poll()
            status = self._wake()
            if status or self._stopping:
                return status

    def _stop(self, number: int, _: FrameType | None) -> None:
        if not self._engine:
            sys.exit(0)
        self._stopping = True
        os.kill(self._engine, number)

    def _wake(self) -> int:
        """Fork the engine and wait for its end: 0 if it was told to, or went to sleep."""
        door = os.getpid()
        self._engine = os.fork()
        if not self._engine:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            _run_engine(door, self._config)
        _, status = os.waitpid(self._engine, 0)
        self._engine = 0
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code


def _run_engine(door: int, config: FrontConfig) -> None:
    """In the engine's process, which ends with the one that keeps the door."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() == door:
        from coffee_core.embedded.clickhouse_front.awake import run  # what it imports is what sleep is to save

        run(config)
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(Door(FrontConfig.from_argument(sys.argv[1])).keep())
