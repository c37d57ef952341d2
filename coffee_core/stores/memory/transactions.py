"""Transactions over dictionaries: one writer at a time on a copy of its own; readers see what is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from coffee_core.domain.errors import CoffeeError, UnavailableError
from coffee_core.persistence.unit_of_work import Isolation
from coffee_core.rest.dao_provider import Row
from coffee_core.stores.memory.model import MemoryModel
from coffee_core.stores.memory.rows import Rows
from coffee_core.stores.memory.statements import Statement


class Tables:
    """What is committed. A write waits `wait_seconds` at most for another transaction that has written."""

    def __init__(self, wait_seconds: float) -> None:
        self._committed: dict[MemoryModel, Rows] = {}
        self._writer = asyncio.Lock()
        self._wait_seconds = wait_seconds

    def rows(self, model: MemoryModel) -> Rows:
        """The committed rows of a table."""
        return self._committed.setdefault(model, model.new_rows())

    async def run(self, model: MemoryModel, statement: Statement, values: Sequence[object]) -> Sequence[Row]:
        """Run one statement alone: it lasts, or changes nothing."""
        if not statement.writes:
            return statement.run(self.rows(model), values)
        await self.take_writer()
        try:
            return statement.run(self.rows(model), values)
        finally:
            self.give_writer()

    async def begin(self, isolation: Isolation) -> MemoryTransaction:
        """Open a transaction. A serializable one keeps every other writer out from its start."""
        transaction = MemoryTransaction(self)
        if isolation == "serializable":
            await transaction.become_writer()
        return transaction

    async def take_writer(self) -> None:
        """Wait until no other transaction has open writes."""
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._writer.acquire()
        except TimeoutError:
            raise UnavailableError("another transaction holds what this one would write") from None

    def give_writer(self) -> None:
        """Let the next one write."""
        self._writer.release()

    def replace(self, changed: dict[MemoryModel, Rows]) -> None:
        """Make the copies of a transaction what is committed."""
        self._committed.update(changed)


class MemoryTransaction:
    """Becomes the writer with its first write and works on copies of the tables it writes to.

    As in PostgreSQL, a statement that fails spoils the whole transaction: what follows is refused, and committing it
    is an error.
    """

    __slots__ = ("_changed", "_failed", "_tables", "_writes")

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._changed: dict[MemoryModel, Rows] = {}
        self._writes = False
        self._failed = False

    async def become_writer(self) -> None:
        """Keep other writers out until the end."""
        if not self._writes:
            await self._tables.take_writer()
            self._writes = True

    async def run(self, model: MemoryModel, statement: Statement, values: Sequence[object]) -> Sequence[Row]:
        """Run one statement and see what the earlier ones did."""
        if self._failed:
            raise RuntimeError("an earlier statement of this transaction failed: roll it back")
        try:
            if statement.writes or statement.locks:
                await self.become_writer()
            if statement.writes and model not in self._changed:
                self._changed[model] = self._tables.rows(model).copy()
            return statement.run(self._changed.get(model) or self._tables.rows(model), values)
        except CoffeeError:
            self._failed = True
            raise

    async def commit(self) -> None:
        """Make it last."""
        if not self._failed:
            self._tables.replace(self._changed)
        self._end()
        if self._failed:
            raise RuntimeError("an error inside the transaction was swallowed: nothing was stored")

    async def rollback(self) -> None:
        """Undo it."""
        self._end()

    def _end(self) -> None:
        self._changed = {}
        if self._writes:
            self._writes = False
            self._tables.give_writer()
