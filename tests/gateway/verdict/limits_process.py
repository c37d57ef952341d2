"""One of several processes that use one quota as fast as they can: says how many requests it let pass, and until when.

`python -m tests.gateway.verdict.limits_process URL NAME KIND AMOUNT SECONDS RUN PAUSE`: it begins when a line comes on
stdin, runs for RUN seconds and then until it is refused, with PAUSE seconds after every ten requests.
"""

from __future__ import annotations

import asyncio
import sys
import time

from coffee_core.cache.redis_scripts import RedisScripts
from coffee_core.cache.redis_tier import RedisTier
from gateway.verdict.ledger import RedisLedger
from gateway.verdict.meter import ASK
from gateway.verdict.quota import Kind, Quota
from gateway.verdict.settler import Settler


async def main(url: str, name: str, kind: str, amount: str, seconds: str, run: str, pause: str) -> None:
    tier = RedisTier(RedisScripts.open(url, timeout=5, max_connections=4))
    settler = Settler(RedisLedger(tier.scripts))
    meter = settler.meter(Quota(name, int(amount), float(seconds), Kind(kind)))
    await settler.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    while settler.processes < 2:
        await settler._ledger.present()
        await asyncio.sleep(0.05)
    passed = asked = waited = 0
    end = time.monotonic() + float(run)
    last = 0.0
    while True:
        left = meter.take("caller", now := time.monotonic())
        asked += 1
        if left == ASK:
            waited += 1
            left = await settler.take(meter, "caller")
        if left >= 0:
            passed += 1
            last = time.monotonic()
            if passed % 10 == 0:
                await asyncio.sleep(float(pause))
        elif now > end:
            break
        else:
            await asyncio.sleep(min(-left, 0.002))
    print(passed, last, asked, waited, settler.trips, flush=True)
    await asyncio.to_thread(sys.stdin.readline)  # what it gives back must not go to the other one
    await settler.stop()
    await tier.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
