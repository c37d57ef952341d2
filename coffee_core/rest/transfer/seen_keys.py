"""On which line of a file a key came first: in memory for the first ones, past that in a temporary file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from types import TracebackType
from typing import Self, TypeAlias, TypeVar
from uuid import UUID

Key: TypeAlias = tuple[object, ...]
T = TypeVar("T")

FILE_CACHE_KB = 2048
"""Memory that the temporary file may use."""
ASKED_AT_ONCE = 500
_PLAIN = (str, UUID, date, bytes)
"""Their text says all of them, and nothing of another type is equal to one of them."""
_WHOLE_MAX = 10**40
_MICROSECOND = timedelta(microseconds=1)


class SeenKeys:
    """The keys of one import. `kept` of them are in memory, some 200 bytes each; the others take some 30 bytes each of
    a file that is nameless from its beginning, so that it is gone with the process, whatever happens.

    A key stays in memory where one of its parts may equal what is written otherwise: a fraction, an author's type.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._memory: dict[Key, int] = {}
        self._file: _KeyFile | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._filed = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            closing = self._in_thread(self._close)
            self._thread.shutdown(wait=False)
            await asyncio.shield(closing)

    def __len__(self) -> int:
        """How many different ones there were."""
        return len(self._memory) + self._filed

    async def first_lines(self, keys: Sequence[Key], lines: Sequence[int]) -> list[int]:
        """For each key the line on which it was first; its own, where it is new."""
        memory = self._memory
        if len(memory) + len(keys) <= self._kept:
            remember = memory.setdefault
            return [remember(key, line) for key, line in zip(keys, lines, strict=True)]
        found: list[int] = []
        later: dict[bytes, list[int]] = {}  # by digest, the places of `found` that are to be filled in
        for place, (key, line) in enumerate(zip(keys, lines, strict=True)):
            first = memory.get(key)
            if first is None:
                digest = None if len(memory) < self._kept else digested(key)
                if digest is None:
                    memory[key] = line
                else:
                    later.setdefault(digest, []).append(place)
            found.append(line if first is None else first)
        if later:
            fresh = [(digest, lines[places[0]]) for digest, places in later.items()]
            known = await self._in_thread(lambda: self._remember(fresh))
            self._filed += len(fresh) - len(known)
            for digest, places in later.items():
                first = known.get(digest, lines[places[0]])
                for place in places:
                    found[place] = first
        return found

    def _in_thread(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """One thread for all of it: what a caller who left has begun ends before the file is closed."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "coffee-import-keys")
        return asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _remember(self, fresh: Sequence[tuple[bytes, int]]) -> dict[bytes, int]:
        if self._file is None:
            self._file = _KeyFile()
        return self._file.remember(fresh)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()


class _KeyFile:
    """Digests and their lines, in a temporary database of SQLite: it has no name, no journal and a bounded cache.

    It is in the folder that `SQLITE_TMPDIR` or `TMPDIR` names, or in /var/tmp. Used by one thread.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        run = self._database.execute
        for setting in (
            "temp_store=FILE", "journal_mode=OFF", "synchronous=OFF", f"cache_size=-{FILE_CACHE_KB}"
        ):  # fmt: skip
            run(f"PRAGMA {setting}").close()
        run("CREATE TABLE seen (key BLOB PRIMARY KEY, line INTEGER NOT NULL) WITHOUT ROWID")
        run("BEGIN")  # never committed: nobody else reads it

    def remember(self, fresh: Sequence[tuple[bytes, int]]) -> dict[bytes, int]:
        """Keep what is new; answers the lines of what is not. No digest may be in `fresh` twice."""
        before = self._database.total_changes
        self._database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", fresh)
        if self._database.total_changes - before == len(fresh):
            return {}  # nearly always
        lines: dict[bytes, int] = {}
        for start in range(0, len(fresh), ASKED_AT_ONCE):
            asked = [digest for digest, _ in fresh[start : start + ASKED_AT_ONCE]]
            marks = ", ".join("?" * len(asked))
            lines.update(self._database.execute(f"SELECT key, line FROM seen WHERE key IN ({marks})", asked))  # noqa: S608  # question marks alone
        return {digest: lines[digest] for digest, line in fresh if lines[digest] != line}

    def close(self) -> None:
        """The file is gone."""
        self._database.close()


def digested(key: Key) -> bytes | None:
    """Equal for equal keys and for no others (128 bits); None for one of which that cannot be said."""
    parts = [part if type(part) in _PLAIN else _plain(part) for part in key]
    if None in parts:
        return None
    return blake2b(repr(parts).encode(), digest_size=16).digest()


def _plain(part: object) -> object:
    """A value whose text is the same for all that are equal to `part`; None where there may be none."""
    match part:
        case str():
            return str.__str__(part)  # of an enumeration: it is equal to its text
        case int():
            return int(part) if abs(part) < _WHOLE_MAX else None
        case float():
            return int(part) if part.is_integer() and abs(part) < _WHOLE_MAX else None
        case Decimal() if part.is_finite() and abs(part) < _WHOLE_MAX:
            return int(part) if part == int(part) else None
        case datetime():
            offset = part.utcoffset()
            wall = (part.replace(tzinfo=None) - datetime.min) // _MICROSECOND  # noqa: DTZ901  # with its offset taken off
            return ("wall", wall) if offset is None else ("instant", wall - offset // _MICROSECOND)
        case _:
            return None
