"""The outbox: messages stored by the transaction that they tell of, in the table `coffee.outbox`."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast
from zlib import crc32

import asyncpg
import orjson

from coffee_core.domain.errors import UnavailableError
from coffee_core.messaging.message import Message
from coffee_core.persistence.pool import Pool, PostgresTransaction
from coffee_core.persistence.unit_of_work import UnitOfWork

log = logging.getLogger(__name__)

SHARDS = 16
"""Parts of the table that relays lease one by one. Fixed: changing it would change the part of messages in flight."""

CHANNEL = "coffee_outbox"
"""Of the notification that wakes the relays."""

_INSERT = """
INSERT INTO coffee.outbox (id, topic, key, shard, headers, body)
SELECT id, topic, key, shard, headers::jsonb, body
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::smallint[], $5::text[], $6::text[])
     WITH ORDINALITY AS new (id, topic, key, shard, headers, body, place)
ORDER BY place
"""


def shard_of(topic: str, key: str) -> int:
    """The part of the table that holds all messages of this key."""
    return crc32(f"{topic}\0{key}".encode()) % SHARDS


class _Storing:
    """One message that waits for the commit: a step of its own, so that undoing a part of the work takes it away."""

    def __init__(self, outbox: Outbox, work: UnitOfWork, message: Message) -> None:
        self.outbox = outbox
        self.message = message
        self._work = work

    async def __call__(self) -> None:
        """Store it, and with it all that wait behind it, in one statement."""
        messages, others = [self.message], []
        for step in self._work.before_commit:
            if isinstance(step, _Storing) and step.outbox is self.outbox:
                messages.append(step.message)
            else:
                others.append(step)
        self._work.before_commit[:] = others
        await self.outbox.store(self._work, messages)


class Outbox:
    """Stores messages, and tells the relays after the commit.

    The notification is sent apart from the transaction, at most one at a time: NOTIFY inside of it would make all
    commits of the database wait for one lock. A notification that is lost costs a relay's `poll_seconds`.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._stored = asyncio.Event()
        self._teller: asyncio.Task[None] | None = None

    def add(self, work: UnitOfWork, message: Message) -> None:
        """Store `message` with the commit of `work`, after those that were added before."""
        work.before_commit.append(_Storing(self, work, message))
        work.after_commit(self._tell)

    async def store(self, work: UnitOfWork, messages: list[Message]) -> None:
        """Insert in the transaction of `work`, in this order."""
        async with work.lock:
            connection = cast("PostgresTransaction", await work.join(self._pool)).connection
            try:
                statement = connection.statements.get(_INSERT) or await connection.prepare(
                    _INSERT, _INSERT, self._pool.settings.statements_per_connection
                )
                topics = [str(message.topic) for message in messages]
                await statement.fetch(
                    [message.id for message in messages],
                    topics,
                    [message.key for message in messages],
                    [shard_of(topic, message.key) for topic, message in zip(topics, messages, strict=True)],
                    [orjson.dumps(dict(message.headers)).decode() for message in messages],
                    [message.body.decode() for message in messages],
                )
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                raise connection.translated(error) from error

    def start(self) -> None:
        """Begin to wake relays."""
        self._teller = asyncio.create_task(self._tell_on())

    async def close(self) -> None:
        """Stop; relays find the rest by looking."""
        if self._teller is not None:
            self._teller.cancel()
            await asyncio.gather(self._teller, return_exceptions=True)
            self._teller = None

    async def _tell(self) -> None:
        self._stored.set()

    async def _tell_on(self) -> None:
        while True:
            await self._stored.wait()
            self._stored.clear()
            try:
                await self._notify()
            except (UnavailableError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                log.warning("no relay could be woken, it will look by itself: %s", error)

    async def _notify(self) -> None:
        connection: Any = await self._pool.take()
        try:
            await connection.raw.execute(f"NOTIFY {CHANNEL}")
        except asyncio.CancelledError:
            self._pool.mend(connection)
            raise
        except BaseException:
            self._pool.give(connection)
            raise
        self._pool.give(connection)
