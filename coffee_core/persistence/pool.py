"""A fair connection pool: first come, first served; bounded; no reset on release; prepared statements kept.

A connection is handed over in order of asking, without a round trip. That is safe because nothing here leaves session
state behind: statements run alone (autocommit) or in a transaction that has ended before the connection is given back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable
from typing import Any

import asyncpg
import msgspec

from coffee_core.domain.errors import UnavailableError
from coffee_core.persistence.driver import Prepared, connected
from coffee_core.persistence.errors import translate
from coffee_core.persistence.moments import moment_text, read_moment
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.persistence.unit_of_work import Isolation

log = logging.getLogger(__name__)


class Connection:
    """One connection and what is prepared on it. `raw` is asyncpg's, which has no types."""

    __slots__ = ("_prepared", "connected", "raw", "statements")

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.connected = connected(raw)
        self.statements: dict[Hashable, Prepared] = {}
        self._prepared = 0

    async def prepare(self, key: Hashable, sql: str, limit: int) -> Prepared:
        """The prepared statement for `key`, made now."""
        if len(self.statements) >= limit:
            self.statements.clear()  # asyncpg closes each at its server once nothing refers to it
        self._prepared += 1
        # named: without a name, and without asyncpg's own cache, the text is sent and parsed with every execution
        raw = await self.raw.prepare(sql, name=f"coffee_{self._prepared}")
        statement = self.statements[key] = Prepared(self.raw, raw)
        return statement

    def translated(self, error: Exception) -> Exception:
        """The domain error for what a statement on this connection raised. Where a table has changed since statements
        were prepared, they are prepared anew."""
        if isinstance(error, asyncpg.InvalidCachedStatementError):
            self.statements.clear()
        return translate(error)

    def retire(self) -> None:
        """Count as closed when it is given back: what the driver knows of the server's types is not true any more."""
        self.connected = _not_connected


def _not_connected() -> bool:
    return False


class Pool:
    """Opened by `open()`. Every failure to give a connection is `UnavailableError`."""

    def __init__(self, url: str, settings: DatabaseSettings) -> None:
        self.url = url
        self.settings = settings
        self.idle: list[Connection] = []
        self.size = 0
        self.refused = 0
        """Requests that got no connection: too many waited, or this one for too long."""
        self._waiters: deque[tuple[asyncio.Future[Connection], float]] = deque()
        """In order of asking, with the time at which each gives up."""
        self._timer: asyncio.TimerHandle | None = None
        self._streams = asyncio.Semaphore(settings.streams_max)
        self._mending: set[asyncio.Task[None]] = set()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop it was opened on: asking asyncio for it each time is a system call on Python 3.11."""
        self.on_transaction: Callable[[], None] | None = None
        """Told of each transaction when it has begun and when it is stored: read routing, where there is a replica."""

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection now."""
        return sum(1 for waiter, _ in self._waiters if not waiter.done())

    async def open(self) -> None:
        """Open the first connections; fails if the server does not answer."""
        self._loop = asyncio.get_running_loop()
        for _ in range(self.settings.pool_min):
            self.idle.append(await self._connect())

    async def close(self) -> None:
        """Close every idle connection; those in use are closed when they come back."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._mending:
            task.cancel()
        await asyncio.gather(*self._mending, return_exceptions=True)
        idle, self.idle = self.idle, []
        await asyncio.gather(*(self._end(connection) for connection in idle))

    async def _connect(self, *, counted: bool = True) -> Connection:
        if counted:
            self.size += 1
        try:
            connect: Any = asyncpg.connect  # untyped; its inferred types are narrower than what it takes
            raw = await connect(
                self.url,
                timeout=self.settings.connect_seconds,
                statement_cache_size=0,
                server_settings={
                    "application_name": "coffee",
                    "timezone": "UTC",
                    "datestyle": "ISO",
                    "jit": "off",
                    "idle_in_transaction_session_timeout": str(int(self.settings.idle_in_transaction_seconds * 1000)),
                    # a cancel request that overtakes its statement stops nothing; the end of its connection does
                    "client_connection_check_interval": str(int(self.settings.client_check_seconds * 1000)),
                },
            )
            # JSON is passed on to the wire as it is stored, not parsed. Both ways are functions of C: a page of rows
            # with JSON columns calls them for every value.
            await raw.set_type_codec("jsonb", encoder=bytes.decode, decoder=msgspec.Raw, schema="pg_catalog")
            await raw.set_type_codec("timestamptz", encoder=moment_text, decoder=read_moment, schema="pg_catalog")
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            if counted:
                self.size -= 1
            log.warning("PostgreSQL gives no connection: %s", type(error).__name__)
            raise UnavailableError("the database does not answer") from error
        except BaseException:
            if counted:
                self.size -= 1
            raise
        return Connection(raw)

    def ready(self) -> Connection | None:
        """A connection without waiting, if one is idle; the caller must `give` it back, whatever happens."""
        while self.idle:
            connection = self.idle.pop()
            if connection.connected():
                return connection
            self.size -= 1
        return None

    async def take(self) -> Connection:
        """A connection; the caller must `give` it back, whatever happens."""
        connection = self.ready()
        if connection is not None:
            return connection
        if self.size < self.settings.pool_max:
            return await self._connect()
        if len(self._waiters) >= self.settings.pool_waiters and self.waiting >= self.settings.pool_waiters:
            self.refused += 1
            raise UnavailableError("too many requests wait for the database", retry_after=1)
        # in line; one timer serves everybody who waits, as the first in line is the first to have waited too long
        loop = self._loop or asyncio.get_running_loop()
        waiter: asyncio.Future[Connection] = loop.create_future()
        self._waiters.append((waiter, loop.time() + self.settings.pool_wait_seconds))
        if self._timer is None:
            self._timer = loop.call_later(self.settings.pool_wait_seconds, self._expire)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.give(waiter.result())  # it came in the very moment in which the caller gave up
            raise

    def _expire(self) -> None:
        """Refuse who has waited too long, and look again when the next one will have."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = None
        while self._waiters:
            waiter, until = self._waiters[0]
            if not waiter.done() and until > now:
                self._timer = loop.call_at(until, self._expire)
                return
            self._waiters.popleft()
            if not waiter.done():
                self.refused += 1
                waiter.set_exception(UnavailableError("no database connection became free in time", retry_after=1))

    def give(self, connection: Connection) -> None:
        """Take a connection back in whatever state it is."""
        if connection.connected():
            self.pass_on(connection)
        else:
            self.discard(connection)

    def pass_on(self, connection: Connection) -> None:
        """Hand a connection that has just answered to who has waited longest."""
        if self._closed:
            self.discard(connection)
            return
        while self._waiters:
            waiter, _ = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self.idle.append(connection)

    def discard(self, connection: Connection) -> None:
        """Drop a connection whose state is not known; if somebody waits, a new one is opened for him."""
        self.size -= 1
        connection.raw.terminate()
        if self._waiters and not self._closed:
            self._spawn(self._replace())

    def mend(self, connection: Connection) -> None:
        """Take back a connection whose statement was cancelled, once the server has confirmed that it stopped."""
        self._spawn(self._settle(connection))

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._mending.add(task)
        task.add_done_callback(self._mending.discard)

    async def _settle(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(self.settings.connect_seconds):
                await connection.raw.execute("SELECT 1")  # waits until the cancel request has been acted on
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncio.CancelledError):
            self.discard(connection)
        else:
            self.give(connection)

    async def _replace(self) -> None:
        with contextlib.suppress(UnavailableError):
            self.give(await self._connect())

    async def _end(self, connection: Connection) -> None:
        self.size -= 1
        try:
            await connection.raw.close(timeout=2)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.raw.terminate()

    async def begin(self, isolation: Isolation) -> PostgresTransaction:
        """Open a transaction on a connection of its own."""
        connection = await self.take()
        transaction = PostgresTransaction(self, connection)
        try:
            level = "SERIALIZABLE" if isolation == "serializable" else "READ COMMITTED"
            await connection.raw.execute(f"BEGIN ISOLATION LEVEL {level}")
        except BaseException:
            self.discard(connection)
            raise
        if self.on_transaction is not None:
            self.on_transaction()
        return transaction

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """A connection beside the pool in a read-only REPEATABLE READ transaction, for long reads."""
        try:
            async with asyncio.timeout(self.settings.pool_wait_seconds):
                await self._streams.acquire()
        except TimeoutError:
            raise UnavailableError("too many exports run at this moment", retry_after=5) from None
        try:
            connection = await self._connect(counted=False)
            try:
                await connection.raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                yield connection
            finally:
                connection.raw.terminate()  # read-only: nothing to keep, and the server need not be asked
        finally:
            self._streams.release()


class PostgresTransaction:
    """An open transaction; ends once."""

    __slots__ = ("_marks", "_pool", "connection")

    def __init__(self, pool: Pool, connection: Connection) -> None:
        self._pool = pool
        self._marks = 0
        self.connection = connection

    async def mark(self) -> str:
        """SAVEPOINT."""
        self._marks += 1
        name = f"coffee_{self._marks}"
        await self._nest(f"SAVEPOINT {name}")
        return name

    async def undo_to(self, mark: str) -> None:
        """ROLLBACK TO SAVEPOINT, and RELEASE: or savepoints would pile up."""
        await self._nest(f"ROLLBACK TO SAVEPOINT {mark}; RELEASE SAVEPOINT {mark}")

    async def keep(self, mark: str) -> None:
        """RELEASE SAVEPOINT."""
        await self._nest(f"RELEASE SAVEPOINT {mark}")

    async def _nest(self, sql: str) -> None:
        try:
            await self.connection.raw.execute(sql)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise translate(error) from error

    async def check(self) -> None:
        """Constraints that are deferred to the commit, checked now. A transaction that had failed is an error here."""
        try:
            await self.connection.raw.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise translate(error) from error

    async def commit(self) -> None:
        """Make it last. A transaction that had failed is rolled back by PostgreSQL at COMMIT: that is an error here."""
        try:
            tag = await self.connection.raw.execute("COMMIT")
        except (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError) as error:
            self._pool.discard(self.connection)
            raise UnavailableError("the database was lost while committing: it may or may not be stored") from error
        except asyncpg.PostgresError as error:
            self._pool.give(self.connection)  # a refused COMMIT has ended the transaction
            raise translate(error) from error
        except BaseException:
            self._pool.discard(self.connection)
            raise
        self._pool.give(self.connection)
        if tag != "COMMIT":
            raise RuntimeError("an error inside the transaction was swallowed: nothing was stored")
        if self._pool.on_transaction is not None:
            self._pool.on_transaction()

    async def rollback(self) -> None:
        """Undo it."""
        try:
            async with asyncio.timeout(self._pool.settings.connect_seconds):
                await self.connection.raw.execute("ROLLBACK")
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._pool.discard(self.connection)  # the server rolls back when the connection ends
        except BaseException:
            self._pool.discard(self.connection)
            raise
        else:
            self._pool.give(self.connection)
