"""A process that uses what a partner has, as fast as it can: `user_program.py URL PARTNER LIMIT TASKS [hold]`.

It writes `ready` and waits for a line; then `granted` for each use when it is committed, and ends when nothing is left.
With `hold` it writes `held` when a use is counted, and waits for ever with its transaction open.
"""

from __future__ import annotations

import asyncio
import sys

from pydantic import SecretStr

from coffee_core.domain.context import RequestContext
from coffee_core.domain.errors import UsageLimitError
from coffee_core.metering.grants import FixedGrants
from coffee_core.metering.meter import Meter
from coffee_core.metering.postgres import PostgresLedger
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.stores.postgres.store import PostgresStore
from tests.coffee_core.metering.tables import TABLES


async def main(url: str, partner: int, limit: int, tasks: int, *, hold: bool) -> None:
    store = PostgresStore(DatabaseSettings(url=SecretStr(url), read_url=SecretStr(""), pool_max=tasks))
    await store.open()
    meter = Meter(PostgresLedger(store.pool, TABLES), FixedGrants({"DISCOVERY": limit}))

    async def use() -> None:
        while True:
            try:
                async with acting_as(RequestContext(request_id="r", partner_id=partner)):
                    await meter.use("DISCOVERY")
                    if hold:
                        print("held", flush=True)
                        await asyncio.Event().wait()
            except UsageLimitError:
                return
            print("granted", flush=True)

    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(use() for _ in range(tasks)))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:5]), hold=sys.argv[5:] == ["hold"]))
