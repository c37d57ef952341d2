"""chDB behind a queue: a handle for each query, so many at once, the rest in turn."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeAlias, TypeVar

import chdb
from chdb import _chdb

from coffee_core.embedded.clickhouse_front.errors import (
    BAD_ARGUMENTS,
    SESSION_IS_LOCKED,
    SESSION_NOT_FOUND,
    TOO_MANY_SIMULTANEOUS_QUERIES,
    from_engine,
    refused,
)

MAX_SESSIONS = 256
DEFAULTS = {"max_execution_time": "300"}
"""A query whose caller is gone, and that could not be stopped, still ends. Seconds."""

# chdb publishes no types: handles, results and streams are its own.
Handle: TypeAlias = Any
T = TypeVar("T")


class Call(NamedTuple):
    """One query with all that HTTP says about it."""

    sql: str
    output_format: str
    query_id: str
    database: str
    settings: Mapping[str, str]
    parameters: Mapping[str, str]


class Session:
    """A handle that outlives its query, with temporary tables and settings; one query at a time."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.busy = False
        self.expires = 0.0


class Engine:
    """All queries of one data folder."""

    def __init__(self, folder: str, *, queries: int, queue: int) -> None:
        self._folder = folder
        self._turn = asyncio.Semaphore(queries)  # wakes the waiting in the order they came
        self._waiting = 0
        self._queue = queue
        # one thread each, one that ends queries, and one for small work of sessions
        self._threads = ThreadPoolExecutor(queries + 2, thread_name_prefix="chdb")
        self._sessions: dict[str, Session] = {}
        self._root: Handle = None

    async def open(self) -> None:
        """Open the folder; it stays open while the process lives. chDB must not take over our signals."""
        _chdb.set_signal_handlers_enabled(False)  # type: ignore[attr-defined] # in the extension, not in its stub
        self._root = await self._run(lambda: chdb.connect(self._folder))

    async def close(self) -> None:
        """Write what is in memory and let the folder go."""
        for session in self._sessions.values():
            await self._run(session.handle.close)
        await self._run(self._root.close)
        self._threads.shutdown()

    def has_sessions(self) -> bool:
        """Whether somebody may still come back to a session of his."""
        now = asyncio.get_running_loop().time()
        return any(kept.busy or kept.expires >= now for kept in self._sessions.values())

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, first come, first served; with too many waiting it is refused at once."""
        if self._waiting >= self._queue:
            raise refused(TOO_MANY_SIMULTANEOUS_QUERIES, f"{self._queue} queries wait already: try again")
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()

    @contextlib.asynccontextmanager
    async def handle(self, call: Call, session: str, *, must_exist: bool, seconds: float) -> AsyncIterator[Handle]:
        """A handle with the call's database and settings: a new one, or the session's."""
        if not session:
            handle = await self._run(lambda: chdb.connect(self._folder))
            try:
                await self._prepare(handle, call)
                yield handle
            finally:
                await asyncio.shield(self._run(handle.close))
            return
        kept = await self._session(session, must_exist=must_exist)
        kept.busy = True
        try:
            await self._prepare(kept.handle, call)
            yield kept.handle
        finally:
            kept.busy = False
            kept.expires = asyncio.get_running_loop().time() + seconds

    async def _session(self, name: str, *, must_exist: bool) -> Session:
        now = asyncio.get_running_loop().time()
        for old in [key for key, kept in self._sessions.items() if not kept.busy and kept.expires < now]:
            await self._run(self._sessions.pop(old).handle.close)
        kept = self._sessions.get(name)
        if kept is not None:
            if kept.busy:
                raise refused(SESSION_IS_LOCKED, f"Session {name} is locked by a concurrent client")
            return kept
        if must_exist:
            raise refused(SESSION_NOT_FOUND, f"Session {name} not found")
        if len(self._sessions) >= MAX_SESSIONS:
            raise refused(TOO_MANY_SIMULTANEOUS_QUERIES, f"there are {MAX_SESSIONS} sessions already")
        kept = self._sessions[name] = Session(None)
        kept.busy = True  # nobody else may take it while the handle is made
        try:
            kept.handle = await self._run(lambda: chdb.connect(self._folder))
        except BaseException:
            del self._sessions[name]
            raise
        return kept

    async def _prepare(self, handle: Handle, call: Call) -> None:
        # log_comment marks the query, so that it can be found again to be ended
        settings = {**DEFAULTS, **call.settings, "log_comment": call.query_id}
        pairs = ", ".join(f"{_setting_name(name)} = {_quoted(value)}" for name, value in settings.items())

        def apply() -> None:
            if call.database:
                handle.query(f"USE {_quoted(call.database, '`')}")
            handle.query(f"SET {pairs}")

        await self._run(apply)

    async def whole(self, handle: Handle, call: Call) -> Any:
        """Run it and hold its result: `get_memview().view()` are its bytes, not copied."""
        return await self._stoppable(
            call, lambda: handle.query(call.sql, call.output_format, params=dict(call.parameters))
        )

    async def blocks(self, handle: Handle, call: Call) -> AsyncGenerator[bytes, None]:
        """Run it and give its blocks as they are made; the next one is made when it is asked for."""
        stream = await self._stoppable(
            call, lambda: handle.send_query(call.sql, call.output_format, params=dict(call.parameters))
        )
        try:
            while (block := await self._stoppable(call, lambda: next(stream, None))) is not None:
                yield block.bytes()
        finally:
            await asyncio.shield(self._run(stream.cancel))

    async def _stoppable(self, call: Call, work: Callable[[], T]) -> T:
        """Do it in a thread. If the caller goes away, end the query and wait until it lets go of the handle."""
        running = asyncio.ensure_future(self._run(work))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            while not running.done():
                mark = _quoted(call.query_id)
                kill = f"KILL QUERY WHERE Settings['log_comment'] = {mark} ASYNC"
                await self._run(lambda: self._root.query(kill))  # noqa: B023 - awaited within this turn of the loop
                await asyncio.wait([running], timeout=0.2)
            running.exception()
            raise

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except RuntimeError as error:
            raise from_engine(error) from error


def _quoted(text: str, quote: str = "'") -> str:
    """A literal, or with backticks a name: nothing in it ends it."""
    return quote + text.replace("\\", "\\\\").replace(quote, f"\\{quote}") + quote


def _setting_name(name: str) -> str:
    if not name.isidentifier() or not name.isascii():
        raise refused(BAD_ARGUMENTS, f"{name!r} is not the name of a setting")
    return name
