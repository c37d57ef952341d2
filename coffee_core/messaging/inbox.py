"""The inbox: which handler has dealt with which message, stored by the transaction of the handling itself."""

from __future__ import annotations

from typing import Protocol, cast

import asyncpg

from coffee_core.persistence.errors import translate
from coffee_core.persistence.pool import Pool, PostgresTransaction
from coffee_core.persistence.unit_of_work import UnitOfWork

_CLAIM = """
INSERT INTO coffee.inbox (handler, message_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true
"""

_FORGET = """
DELETE FROM coffee.inbox WHERE ctid IN (
    SELECT ctid FROM coffee.inbox WHERE handled_at < now() - $1 * interval '1 day' LIMIT $2 FOR UPDATE SKIP LOCKED
)
"""

FORGET_AT_ONCE = 5000


class Inbox(Protocol):
    """Remembers handled messages."""

    async def claim(self, work: UnitOfWork, handler: str, id: str) -> bool:
        """Whether `handler` has yet to deal with the message; remembered with the commit of `work`.

        Waits where another process is dealing with it at this moment.
        """
        ...


class PostgresInbox:
    """The table `coffee.inbox`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(self, work: UnitOfWork, handler: str, id: str) -> bool:
        """One row a handler and message; the primary key makes the second one wait for the first."""
        async with work.lock:
            transaction = cast("PostgresTransaction", await work.join(self._pool))
            connection = transaction.connection
            try:
                statement = connection.statements.get(_CLAIM) or await connection.prepare(
                    _CLAIM, _CLAIM, self._pool.settings.statements_per_connection
                )
                return bool(await statement.fetch(handler, id))
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                raise connection.translated(error) from error

    async def forget(self, days: float) -> int:
        """Forget what was handled longer ago; answers how many."""
        count = 0
        while True:
            connection = await self._pool.take()
            try:
                tag = await connection.raw.execute(_FORGET, days, FORGET_AT_ONCE)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                self._pool.give(connection)
                raise translate(error) from error
            except BaseException:
                self._pool.mend(connection)
                raise
            self._pool.give(connection)
            gone = int(tag.rpartition(" ")[2])
            count += gone
            if gone < FORGET_AT_ONCE:
                return count


class MemoryInbox:
    """For a process without PostgreSQL. Remembers as long as it lives, up to a bound, the oldest forgotten first."""

    def __init__(self, *, most: int = 100_000) -> None:
        self._most = most
        self._seen: dict[tuple[str, str], None] = {}

    async def claim(self, work: UnitOfWork, handler: str, id: str) -> bool:
        """Remembered after the commit."""
        key = (handler, id)
        if key in self._seen:
            return False

        async def remember() -> None:
            self._seen[key] = None
            if len(self._seen) > self._most:
                del self._seen[next(iter(self._seen))]

        work.after_commit(remember)
        return True
