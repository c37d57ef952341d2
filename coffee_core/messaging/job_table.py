"""The table `coffee.job`: when a job is due, and who runs it."""

from __future__ import annotations

import uuid

import asyncpg

from coffee_core.persistence.errors import translate
from coffee_core.persistence.pool import Pool

_CLAIM = """
INSERT INTO coffee.job AS job (name, holder, until) VALUES ($1, $2, now() + $3 * interval '1 second')
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE job.next_at <= now() AND job.until <= now()
RETURNING true
"""

_RENEW = """
UPDATE coffee.job SET until = now() + $3 * interval '1 second'
WHERE name = $1 AND holder = $2 AND until > now() RETURNING true
"""

_FINISH = """
UPDATE coffee.job SET holder = NULL, until = now(), next_at = now() + $3 * interval '1 second',
       finished_at = now(), error = $4
WHERE name = $1 AND holder = $2 RETURNING true
"""


class JobTable:
    """Each call is one statement."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(self, name: str, holder: uuid.UUID, seconds: float) -> bool:
        """Whether the job is due and now ours for so many seconds."""
        return await self._run(_CLAIM, name, holder, seconds)

    async def renew(self, name: str, holder: uuid.UUID, seconds: float) -> bool:
        """Whether it is still ours, for so many seconds from now."""
        return await self._run(_RENEW, name, holder, seconds)

    async def finish(self, name: str, holder: uuid.UUID, every_seconds: float, error: str | None) -> bool:
        """Give it back until it is due again."""
        return await self._run(_FINISH, name, holder, every_seconds, error)

    async def _run(self, sql: str, *values: object) -> bool:
        connection = await self._pool.take()
        try:
            found = await connection.raw.fetchval(sql, *values)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            self._pool.give(connection)
            raise translate(error) from error
        except BaseException:
            self._pool.mend(connection)
            raise
        self._pool.give(connection)
        return bool(found)
