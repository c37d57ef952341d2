"""What a relay does to the table `coffee.outbox`: lease a part of it, read, delete what was relayed, set aside."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import asyncpg
import orjson

from coffee_core.messaging.message import Message
from coffee_core.messaging.topic import parse_topic
from coffee_core.persistence.errors import translate
from coffee_core.persistence.pool import Pool

_CLAIM = """
UPDATE coffee.outbox_lease SET holder = $1, until = now() + $2 * interval '1 second'
WHERE shard IN (
    SELECT l.shard FROM coffee.outbox_lease l
    WHERE l.until <= now() AND l.shard <> ALL ($4::smallint[])
      AND EXISTS (SELECT FROM coffee.outbox o WHERE o.shard = l.shard)
    ORDER BY l.until, l.shard LIMIT $3 FOR UPDATE SKIP LOCKED
)
RETURNING shard
"""

_RENEW = """
UPDATE coffee.outbox_lease SET until = now() + $2 * interval '1 second'
WHERE holder = $1 AND shard = ANY ($3::smallint[]) AND until > now()
RETURNING shard
"""

_RELEASE = """
UPDATE coffee.outbox_lease SET holder = NULL, until = now() WHERE holder = $1 AND shard = ANY ($2::smallint[])
"""

_READ = """
SELECT position, id, topic, key, headers, body, attempts FROM coffee.outbox o
WHERE shard = $1 AND NOT EXISTS (
    SELECT FROM coffee.outbox held
    WHERE held.attempts > 0 AND held.topic = o.topic AND held.key = o.key AND held.not_before > now()
)
ORDER BY position LIMIT $2
"""

_DELETE = "DELETE FROM coffee.outbox WHERE position = ANY ($1::bigint[])"

_HOLD_UP = """
UPDATE coffee.outbox SET attempts = attempts + 1, error = $2, not_before = now() + $3 * interval '1 second'
WHERE position = $1
"""

_SET_ASIDE = """
WITH gone AS (DELETE FROM coffee.outbox WHERE position = $1 RETURNING *)
INSERT INTO coffee.outbox_refused (position, id, topic, key, shard, headers, body, stored_at, attempts, error)
SELECT position, id, topic, key, shard, headers, body, stored_at, attempts + 1, $2 FROM gone
"""

_REPLAY = """
WITH back AS (
    DELETE FROM coffee.outbox_refused WHERE position IN (
        SELECT position FROM coffee.outbox_refused ORDER BY position LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    RETURNING *
)
INSERT INTO coffee.outbox (id, topic, key, shard, headers, body)
SELECT id, topic, key, shard, headers, body FROM back ORDER BY position
"""

_STATUS = """
SELECT (SELECT count(*) FROM (SELECT FROM coffee.outbox LIMIT 10000) AS part) AS waiting,
       coalesce(extract(epoch FROM clock_timestamp() - (
           SELECT min(stored_at) FROM (SELECT stored_at FROM coffee.outbox ORDER BY position LIMIT 100) oldest
       )), 0)::float8 AS lag,
       (SELECT count(*) FROM (SELECT FROM coffee.outbox WHERE attempts > 0 LIMIT 10000) AS part) AS held_up,
       (SELECT count(*) FROM (SELECT FROM coffee.outbox_refused LIMIT 10000) AS part) AS refused
"""


class Stored(NamedTuple):
    """A message of the table."""

    position: int
    message: Message
    attempts: int


class OutboxStatus(NamedTuple):
    """The table now. Counts go up to 10,000."""

    waiting: int
    """Messages that are not yet relayed."""
    lag: float
    """Age of the oldest, in seconds."""
    held_up: int
    """Of these, those that the broker has refused and that will be tried again."""
    refused: int
    """Messages that were set aside after too many refusals."""


class OutboxTable:
    """Each call is one statement. Errors are domain errors."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        connection = await self._pool.take()
        try:
            yield connection.raw
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            self._pool.give(connection)
            raise translate(error) from error
        except BaseException:
            self._pool.mend(connection)
            raise
        self._pool.give(connection)

    async def claim(self, holder: uuid.UUID, seconds: float, most: int, without: Sequence[int] = ()) -> list[int]:
        """Lease parts that hold messages and that no living relay has; those left alone for longest come first."""
        async with self._connection() as raw:
            rows = await raw.fetch(_CLAIM, holder, seconds, most, list(without))
        return [row[0] for row in rows]

    async def renew(self, holder: uuid.UUID, seconds: float, shards: Sequence[int]) -> set[int]:
        """Go on holding; answers the parts that are still ours."""
        async with self._connection() as raw:
            rows = await raw.fetch(_RENEW, holder, seconds, list(shards))
        return {row[0] for row in rows}

    async def release(self, holder: uuid.UUID, shards: Sequence[int]) -> None:
        """Give the leases back."""
        async with self._connection() as raw:
            await raw.execute(_RELEASE, holder, list(shards))

    async def read(self, shard: int, limit: int) -> list[Stored]:
        """The oldest messages, in order, without the keys that are held up by a refused message."""
        async with self._connection() as raw:
            rows = await raw.fetch(_READ, shard, limit)
        return [
            Stored(
                row["position"],
                Message(
                    topic=parse_topic(row["topic"]),
                    id=str(row["id"]),
                    type=(headers := orjson.loads(bytes(row["headers"]))).get("type", ""),
                    key=row["key"],
                    source=headers,
                    body=row["body"].encode(),
                ),
                row["attempts"],
            )
            for row in rows
        ]

    async def delete(self, positions: Sequence[int]) -> None:
        """Forget what the broker has stored."""
        async with self._connection() as raw:
            await raw.execute(_DELETE, list(positions))

    async def hold_up(self, position: int, error: str, seconds: float) -> None:
        """Try this message, and with it the rest of its key, after a pause."""
        async with self._connection() as raw:
            await raw.execute(_HOLD_UP, position, error, seconds)

    async def set_aside(self, position: int, error: str) -> None:
        """Move this message to the refused ones: its key goes on without it."""
        async with self._connection() as raw:
            await raw.execute(_SET_ASIDE, position, error)

    async def replay(self, limit: int) -> int:
        """Put the oldest refused messages behind those that wait; answers how many."""
        async with self._connection() as raw:
            tag: str = await raw.execute(_REPLAY, limit)
        return int(tag.rpartition(" ")[2])

    async def status(self) -> OutboxStatus:
        """How many wait, and for how long."""
        async with self._connection() as raw:
            return OutboxStatus(*await raw.fetchrow(_STATUS))
