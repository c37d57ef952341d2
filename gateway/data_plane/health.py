"""Active health checks: each target is asked every now and then, on a connection of its own, whether it is well."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Final

from coffee_core.wire.errors import WireError
from gateway.data_plane.exchange import Exchange
from gateway.data_plane.pool import Pool

log: Final = logging.getLogger("gateway.data_plane")


class HealthCheck:
    """Of one target. Well is an answer of 200 to 299 in time; anything else is not."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._settings = settings = pool.settings
        # a pool of its own: a check neither waits for requests nor takes a connection from them
        own = settings.model_copy(update={"connections": 1, "eject_after": 2**62})
        self._own = Pool(pool.target, own, pool.clock)
        self._good = 0
        self._bad = 0

    async def run(self) -> None:
        """Until cancelled. The interval is not quite regular, so that processes do not ask in step."""
        while True:
            await asyncio.sleep(self._settings.health_interval * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            self._seen(well=await self._ask())

    async def _ask(self) -> bool:
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def ended(status: int) -> None:
            if not answered.done():
                answered.set_result(status)

        exchange = Exchange(ended)
        request = b"GET %b HTTP/1.1\r\nhost: %b\r\nuser-agent: coffee-gateway-health\r\nconnection: close\r\n\r\n"
        try:
            async with asyncio.timeout(self._settings.health_timeout):
                connection = await self._own.acquire(fresh=True)
                exchange.ask(connection, request % (self._settings.health_path.encode(), self._pool.target.authority))
                return 200 <= await answered < 300
        except (WireError, TimeoutError):
            return False
        finally:
            exchange.leave()
            self._own.close()

    def _seen(self, *, well: bool) -> None:
        pool, settings = self._pool, self._settings
        if well:
            self._good, self._bad = self._good + 1, 0
            if self._good >= settings.healthy_after and pool.ejected:
                log.warning("%s is healthy again", pool.target)
                pool.healthy()
        else:
            self._good, self._bad = 0, self._bad + 1
            if self._bad >= settings.unhealthy_after and not pool.unhealthy:
                log.warning("%s is unhealthy", pool.target)
                pool.sick()
