"""Kept answers: the table `coffee.idempotency`, written by the transaction of the write itself."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import asyncpg

from coffee_core.persistence.errors import translate
from coffee_core.persistence.pool import Pool, PostgresTransaction
from coffee_core.persistence.unit_of_work import UnitOfWork

_CLAIM = "SELECT pg_try_advisory_xact_lock($1)"

_FIND = """
SELECT fingerprint, status, content_type, headers, body FROM coffee.idempotency
WHERE partner_id = $1 AND user_id = $2 AND key = $3 AND stored_at > clock_timestamp() - $4 * interval '1 hour'
"""

_KEEP = """
INSERT INTO coffee.idempotency (partner_id, user_id, key, fingerprint, status, content_type, headers, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (partner_id, user_id, key) DO UPDATE SET fingerprint = excluded.fingerprint, status = excluded.status,
  content_type = excluded.content_type, headers = excluded.headers, body = excluded.body,
  stored_at = excluded.stored_at
"""

_FORGET = """
DELETE FROM coffee.idempotency WHERE ctid IN (
    SELECT ctid FROM coffee.idempotency WHERE stored_at < clock_timestamp() - $1 * interval '1 hour'
    LIMIT $2 FOR UPDATE SKIP LOCKED
)
"""

FORGET_AT_ONCE = 1000


class Scope(NamedTuple):
    """Whose key: the same text of two users, or of two partners, is two keys."""

    partner_id: int
    user_id: int
    key: str

    def number(self) -> int:
        """For PostgreSQL's advisory locks: 64 bits; two scopes that share one would only keep each other waiting."""
        name = f"idempotency:{self.partner_id}:{self.user_id}:{self.key}".encode()
        return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big", signed=True)


class Kept(NamedTuple):
    """An answer as it is stored. `headers` are names and values in turn; `body` None was too large to keep."""

    fingerprint: bytes
    status: int
    content_type: str | None
    headers: Sequence[str]
    body: bytes | None


class PostgresIdempotency:
    """All but `forget` run inside the transaction of a unit of work, which they open."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(self, work: UnitOfWork, scope: Scope) -> bool:
        """Whether no other request has this key in hand; ours until the transaction ends, however it ends."""
        return bool((await self._run(work, _CLAIM, scope.number()))[0][0])

    async def find(self, work: UnitOfWork, scope: Scope, hours: float) -> Kept | None:
        """What was answered within the last `hours`. A statement of its own after `claim`: it sees what the request
        that held the key before has committed."""
        rows = await self._run(work, _FIND, *scope, hours)
        return Kept(*rows[0]) if rows else None

    async def keep(self, work: UnitOfWork, scope: Scope, answer: Kept) -> None:
        """Store an answer; it lasts if and only if the unit of work commits."""
        await self._run(work, _KEEP, *scope, *answer)

    async def _run(self, work: UnitOfWork, sql: str, *values: object) -> Sequence[Any]:
        async with work.lock:
            transaction = cast("PostgresTransaction", await work.join(self._pool))
            connection = transaction.connection
            try:
                statement = connection.statements.get(sql) or await connection.prepare(
                    sql, sql, self._pool.settings.statements_per_connection
                )
                return cast("Sequence[Any]", await statement.fetch(*values))
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                raise connection.translated(error) from error

    async def forget(self, hours: float) -> int:
        """Forget what was stored longer ago; answers how many."""
        count = 0
        while True:
            connection = await self._pool.take()
            try:
                tag = await connection.raw.execute(_FORGET, hours, FORGET_AT_ONCE)
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
