"""The ledger on PostgreSQL: one conditional UPDATE counts a use, and begins a new period where one has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import asyncpg
import orjson

from coffee_core.domain.errors import PlanError, UsageLimitError
from coffee_core.metering.grants import Grant, not_included
from coffee_core.metering.ledger import Activity, Charge, Clock, Fresh, Standing, Use, utc_now
from coffee_core.metering.periods import next_reset
from coffee_core.metering.statements import Statements
from coffee_core.metering.tables import COUNTED, UsageTables
from coffee_core.persistence.pool import Connection, Pool, PostgresTransaction
from coffee_core.persistence.unit_of_work import current_work


class PostgresLedger:
    """`PostgresLedger(store.pool, tables)`. Counters are made at their first use.

    The row of a counter is locked from the UPDATE to the end of the transaction: count last. A key of `once` is
    claimed first, so that of two who come at the same moment the second waits, and is free if the first was counted.
    """

    def __init__(self, pool: Pool, tables: UsageTables, *, clock: Clock = utc_now) -> None:
        self._pool = pool
        self._sql = Statements(tables)
        self._clock = clock

    async def look(self, use: Use, grant: Grant) -> Charge:
        """One SELECT, in the transaction in hand if there is one."""
        now = self._clock()
        row = (await self._read(self._sql.look, use.partner_id, use.namespace, COUNTED, _once_key(use), now))[0]
        end = next_reset(grant.start, grant.frequency, now)
        same = row["start_date"] == grant.start and row["frequency"] == grant.frequency and row["next_reset_on"] > now
        standing = _standing(use, grant, row["consumed"] if same else 0, end)
        return Charge(0 if row["free"] else use.cost, standing)

    async def charge(self, use: Use, grant: Grant, fresh: Fresh) -> Charge:
        """Two statements at most where nothing has changed: the claim of `once`, and the UPDATE."""
        now = self._clock()
        end = next_reset(grant.start, grant.frequency, now)
        key = _once_key(use)
        if key is not None and not await self._write(self._sql.claim, use.partner_id, key, end, now):
            return Charge(0, (await self.look(use, grant)).standing)
        try:
            standing = await self._count(use, grant, now, end) or await self._settle(use, grant, fresh, now)
        except (UsageLimitError, PlanError):
            if key is not None:  # or it would be free although it was not counted, if the caller goes on
                await self._write(self._sql.disclaim, use.partner_id, key)
            raise
        return Charge(use.cost, standing)

    async def correct(self, use: Use, consumed: int | None, fresh: Fresh) -> Standing:
        """Bring the counter in line, and set what is consumed."""
        now = self._clock()
        grant = await fresh()
        if grant is None:
            raise not_included(use.namespace)
        granted, end, stored = await self._align(use, grant, fresh, now)
        if consumed is not None:
            await self._write(self._sql.correct, use.partner_id, use.namespace, COUNTED, consumed)
        return _standing(use, granted, stored if consumed is None else consumed, end)

    async def _settle(self, use: Use, grant: Grant, fresh: Fresh, now: datetime) -> Standing:
        """The counter is missing, goes by something else than `grant`, or has too little left: bring it in line with
        what is granted now, and try once more."""
        granted, end, consumed = await self._align(use, grant, fresh, now)
        standing = await self._count(use, granted, now, end)
        if standing is None:
            raise _standing(use, granted, consumed, end).refusal(now)
        return standing

    async def _align(self, use: Use, grant: Grant, fresh: Fresh, now: datetime) -> tuple[Grant, datetime, int]:
        """With the counter's row locked: what is granted now, when the period ends, and what is consumed in it."""
        names = (use.partner_id, use.namespace, COUNTED)
        first = next_reset(grant.start, grant.frequency, now)
        await self._write(self._sql.ensure, *names, grant.limit, grant.frequency.value, grant.start, grant.end, first)
        await self._write(self._sql.lock, *names)
        granted = await fresh()
        if granted is None:
            raise not_included(use.namespace)
        end = next_reset(granted.start, granted.frequency, now)
        values = (granted.limit, granted.frequency.value, granted.start, granted.end, end, now)
        row = (await self._write(self._sql.align, *names, *values))[0]
        return granted, end, row["consumed"]

    async def _count(self, use: Use, grant: Grant, now: datetime, end: datetime) -> Standing | None:
        values = (grant.limit, grant.frequency.value, grant.start, grant.end, end, now, use.cost)
        rows = await self._write(self._sql.count, use.partner_id, use.namespace, COUNTED, *values)
        return _standing(use, grant, rows[0]["consumed"], rows[0]["next_reset_on"]) if rows else None

    async def record(self, activity: Activity) -> None:
        """One INSERT."""
        await self._write(
            self._sql.record, activity.partner_id, activity.account_id, activity.type, orjson.dumps(activity.meta)
        )

    async def reset(self, limit: int = 1000) -> int:
        """Begin the periods that are due, for everybody, at most so many; answers how many. Without it they begin with
        the next use: this is for who reads the table."""
        return len(await self._write(self._sql.reset, self._clock(), limit))

    async def _write(self, sql: str, *values: object) -> Sequence[Any]:
        """In the transaction of the unit of work, begun now if there is none."""
        work = current_work()
        async with work.lock:
            transaction = cast("PostgresTransaction", await work.join(self._pool))
            return await self._fetch(transaction.connection, sql, values)

    async def _read(self, sql: str, *values: object) -> Sequence[Any]:
        work = current_work()
        if work.transactional:
            return await self._write(sql, *values)
        connection = await self._pool.take()
        try:
            rows = await self._fetch(connection, sql, values)
        except asyncio.CancelledError:
            self._pool.mend(connection)
            raise
        except BaseException:
            self._pool.give(connection)
            raise
        self._pool.give(connection)
        return rows

    async def _fetch(self, connection: Connection, sql: str, values: Sequence[object]) -> Sequence[Any]:
        try:
            statement = connection.statements.get(sql) or await connection.prepare(
                sql, sql, self._pool.settings.statements_per_connection
            )
            return cast("Sequence[Any]", await statement.fetch(*values))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise connection.translated(error) from error


def _once_key(use: Use) -> str | None:
    return None if use.once is None else f"{use.namespace}:{use.once}"


def _standing(use: Use, grant: Grant, consumed: int, reset: datetime) -> Standing:
    return Standing(use.namespace, grant.limit, consumed, reset if grant.end is None else min(reset, grant.end))
