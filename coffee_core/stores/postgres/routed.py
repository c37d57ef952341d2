"""One Entity in PostgreSQL with a replica beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

from coffee_core.domain.errors import UnavailableError
from coffee_core.domain.ids import EntityT, IdT
from coffee_core.persistence.errors import SerializationError
from coffee_core.persistence.pool import Pool
from coffee_core.persistence.read_routing import ReadRouting
from coffee_core.rest.dao_provider import AggregateShape, CountShape, Row, SelectShape, StatementPlan
from coffee_core.stores.postgres.provider import PostgresDaoProvider

BatchT = TypeVar("BatchT")


class RoutedDaoProvider(PostgresDaoProvider[EntityT, IdT]):
    """Reads that need no transaction go to the replica, everything else to the primary; a replica that fails a read
    has it answered by the primary. Statement plans are the same for both."""

    def __init__(
        self, entity: type[EntityT], id_column: str, primary: Pool, replica: Pool, routing: ReadRouting
    ) -> None:
        super().__init__(entity, id_column, primary)
        self._replica: PostgresDaoProvider[EntityT, IdT] = PostgresDaoProvider(entity, id_column, replica)
        self._routing = routing

    async def run(self, plan: StatementPlan[EntityT], values: Sequence[object]) -> Sequence[Row]:
        """On the replica where that is allowed, else in the unit of work's transaction or alone on the primary."""
        shape = plan.shape
        if not isinstance(shape, CountShape | AggregateShape) and not (
            isinstance(shape, SelectShape) and not shape.for_update
        ):
            self._routing.wrote()  # before it is stored: a read beside this one must not take the older state for new
            try:
                return await super().run(plan, values)
            finally:
                self._routing.wrote()  # and after it: the time counts from here
        if self._routing.by_replica():
            try:
                return await self._replica.run(plan, values)
            except UnavailableError as error:
                self._failed(error)
        return await super().run(plan, values)

    async def stream(self, plan: StatementPlan[EntityT], values: Sequence[object]) -> AsyncIterator[Sequence[Row]]:
        """From one snapshot of one server: a replica that fails after its first batch fails the stream."""
        async for batch in self._from_one(self._replica.stream(plan, values), super().stream(plan, values)):
            yield batch

    async def csv(self, plan: StatementPlan[EntityT], values: Sequence[object]) -> AsyncIterator[bytes]:
        """The same, as the server writes it."""
        async for block in self._from_one(self._replica.csv(plan, values), super().csv(plan, values)):
            yield block

    async def _from_one(self, replica: AsyncIterator[BatchT], primary: AsyncIterator[BatchT]) -> AsyncIterator[BatchT]:
        if self._routing.by_replica():
            begun = False
            try:
                async for batch in replica:
                    begun = True
                    yield batch
            except UnavailableError as error:
                self._failed(error)
                if begun:
                    raise
            else:
                return
        async for batch in primary:
            yield batch

    def _failed(self, error: UnavailableError) -> None:
        if not isinstance(error, SerializationError):  # that one: a replica's conflict with recovery, soon over
            self._routing.rest(error.detail)
