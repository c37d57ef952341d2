"""PostgreSQL as a store: one pool, or one for the primary and one for a replica; a provider for each Entity."""

from __future__ import annotations

from sqlalchemy.orm import InstrumentedAttribute

from coffee_core.domain.errors import UnavailableError
from coffee_core.domain.ids import EntityT, IdT
from coffee_core.persistence.pool import Pool
from coffee_core.persistence.read_routing import ReadRouting
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.stores.postgres.provider import PostgresDaoProvider
from coffee_core.stores.postgres.routed import RoutedDaoProvider


class PostgresStore:
    """`store = PostgresStore(settings); await store.open()`.

    `pool` is the primary's. `replica` is None where `read_url` is empty or the primary's own: then nothing of the
    routing is in the way of a statement.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self.settings = settings
        url, read_url = settings.url.get_secret_value(), settings.read_url.get_secret_value()
        self.pool = Pool(url, settings)
        self.replica: Pool | None = None
        if read_url and read_url != url:
            self.replica = Pool(read_url, settings)
            self._routing = ReadRouting(settings)
            self.pool.on_transaction = self._routing.wrote

    @property
    def pools(self) -> dict[str, Pool]:
        """By their names in the metrics."""
        return {"primary": self.pool} if self.replica is None else {"primary": self.pool, "replica": self.replica}

    async def open(self) -> None:
        """Open the first connections. A replica that does not answer is no reason not to start."""
        await self.pool.open()
        if self.replica is not None:
            try:
                await self.replica.open()
            except UnavailableError as error:
                self._routing.rest(error.detail)

    async def close(self) -> None:
        """Close them."""
        await self.pool.close()
        if self.replica is not None:
            await self.replica.close()

    def provider(self, entity: type[EntityT], id: InstrumentedAttribute[IdT]) -> PostgresDaoProvider[EntityT, IdT]:
        """The provider for `entity`."""
        if self.replica is None:
            return PostgresDaoProvider(entity, id.key, self.pool)
        return RoutedDaoProvider(entity, id.key, self.pool, self.replica, self._routing)

    async def check(self) -> str | None:
        """Ready when the primary answers a statement: it can serve without the replica."""
        connection = await self.pool.take()
        try:
            await connection.raw.execute("SELECT 1")
        finally:
            self.pool.give(connection)
        return None
