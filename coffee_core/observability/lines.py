"""Log lines of the hot path: kept as structs, written in batches by a thread, bounded, and never waited for."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import msgspec

BATCH: Final = 1000
"""Lines that are written without waiting for the next sweep."""


class LineWriter:
    """JSON lines to a file descriptor. `fd` None: they are dropped at once.

    `add` costs an append. While a batch is being written the next one gathers; a destination that stands still costs
    lines, not requests: past `lines_max` they are dropped and counted in `dropped`.
    """

    def __init__(self, fd: int | None, *, lines_max: int = 20_000) -> None:
        self._fd = fd
        self._lines_max = lines_max
        self._lines: list[msgspec.Struct] = []
        self._encode = msgspec.json.Encoder().encode_lines
        self._writer: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None
        self.dropped = 0

    def add(self, line: msgspec.Struct) -> None:
        """Keep a line for the next batch."""
        if len(self._lines) >= BATCH and not self._room():
            return
        self._lines.append(line)

    def flush(self) -> None:
        """Begin to write what has gathered, unless the batch before is still being written."""
        if self._writing is not None and not self._writing.done():
            return
        if not self._lines:
            return
        batch, self._lines = self._lines, []
        if self._fd is None:
            return
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, "coffee-lines")
        self._writing = self._writer.submit(self._write, self._fd, batch)

    def close(self) -> None:
        """Write the rest, and wait for it."""
        if self._writing is not None:
            self._writing.result()
        self.flush()
        if self._writer is not None:
            self._writer.shutdown()
            self._writer = None

    def _room(self) -> bool:
        self.flush()
        if len(self._lines) < self._lines_max:
            return True
        self.dropped += 1
        return False

    def _write(self, fd: int, batch: list[msgspec.Struct]) -> None:
        data = memoryview(self._encode(batch))
        try:
            while data:
                data = data[os.write(fd, data) :]
        except OSError:  # nobody reads: there is no place left to say so but the count
            self.dropped += len(batch)
