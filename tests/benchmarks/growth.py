"""How cost grows: `python -m tests.benchmarks.growth` writes one plot a curve into docs/performance/growth.

Requests go through the whole pipeline in this process and to a real PostgreSQL, one at a time. A point is the least
time of one, so that what bends is the work, not a queue and not what else the machine does. `--rows` is the largest
table; `COFFEE_HTTP_ACCESS_LOG=stderr` keeps the log out of the figures.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from coffee_core.cache.local import QueueCache
from coffee_core.embedded.servers import embedded_servers
from coffee_core.http.application import Application
from coffee_core.http.settings import HttpSettings
from coffee_core.rest.route import Route
from coffee_core.wire.message import BufferedBody, Request, Response
from tests.benchmarks import module
from tests.benchmarks.caches import Counted
from tests.benchmarks.connections import connections
from tests.benchmarks.peers.product import build
from tests.benchmarks.plot import Points, svg
from tests.benchmarks.rounds import ROOT

FOLDER = ROOT / "docs" / "performance" / "growth"
BASE = "/bench-service/api/item"
Ask = Callable[[int], Awaitable[None]]


def caller(partner: int) -> dict[bytes, bytes]:
    return {b"x-bb-partner-id": b"%d" % partner, b"x-bb-uid": b"1", b"x-bb-plan-type": b"PAID"}


async def least(ask: Ask, times: int = 60) -> float:
    """Microseconds."""
    taken = []
    for number in range(times + 5):
        begun = time.perf_counter()
        await ask(number)
        taken.append((time.perf_counter() - begun) * 1e6)
    return min(taken[5:])


class Asker:
    """Asks the product, in this process."""

    def __init__(self, application: Application) -> None:
        self._handler = application.handler

    async def get(self, path: str, partner: int) -> None:
        answer = await self._handler(Request("GET", path, b"", caller(partner), BufferedBody()))
        assert answer.status == 200, answer.body

    async def search(self, query: bytes, filters: Sequence[Mapping[str, object]], partner: int) -> dict[str, Any]:
        body = BufferedBody(json.dumps({"filters": filters}).encode())
        answer = await self._handler(Request("POST", f"{BASE}/search", query, caller(partner), body))
        assert answer.status == 200, answer.body
        found: dict[str, Any] = json.loads(answer.body)
        return found


PLATFORM = {"filterType": "EQ", "field": "platform", "value": "instagram"}  # of every other partner
SORTED = b"sortBy=followers&sortDir=DESC&size=20"


async def rows(url: str, asker: Asker, most: int) -> Mapping[str, Points]:
    """By the size of the table."""
    curves: dict[str, list[tuple[float, float]]] = {"GET by id": [], "search, 20 rows": [], "exact count": []}
    size = 10_000
    while size <= most:
        raw = await asyncpg.connect(url)
        await raw.execute(module.SCHEMA.replace(str(module.ROWS), str(size)))
        await raw.close()

        async def get(number: int, size: int = size) -> None:
            id = 1 + number * 7919 % size
            await asker.get(f"{BASE}/{id}", 1 + id % module.PARTNERS)

        async def search(number: int) -> None:
            await asker.search(SORTED + b"&count=none", [PLATFORM], 1 + number * 2 % module.PARTNERS)

        async def counted(number: int) -> None:
            await asker.search(SORTED + b"&count=exact", [PLATFORM], 1 + number * 2 % module.PARTNERS)

        for name, ask in (("GET by id", get), ("search, 20 rows", search), ("exact count", counted)):
            curves[name].append((size, await least(ask, 40)))
        size *= 10
    return curves


async def depth(asker: Asker) -> Mapping[str, Points]:
    """By how deep the page is in what one partner has."""
    curves: dict[str, list[tuple[float, float]]] = {"by page number": [], "by cursor": []}
    deepest = (1, 2, 5, 10, 20, 45)
    query = b"sortBy=followers&sortDir=DESC&size=20&count=none"
    cursor, cursors = "", {}
    for page in range(1, max(deepest) + 1):
        cursors[page] = cursor
        asked = query + (b"&cursor=" + cursor.encode() if cursor else b"")
        cursor = (await asker.search(asked, [PLATFORM], 1))["status"].get("nextCursor", "")
    for page in deepest:

        async def numbered(_: int, page: int = page) -> None:
            await asker.search(query + b"&page=%d" % page, [PLATFORM], 1)

        async def keyed(_: int, place: str = cursors[page]) -> None:
            await asker.search(query + (b"&cursor=" + place.encode() if place else b""), [PLATFORM], 1)

        curves["by page number"].append((page, await least(numbered)))
        curves["by cursor"].append((page, await least(keyed)))
    return curves


async def filters(asker: Asker) -> Mapping[str, Points]:
    """By the number of conditions; all but the first are true of every row."""
    curve = []
    for count in (1, 2, 5, 10, 20):
        more = [{"filterType": "GTE", "field": "followers", "value": -number} for number in range(1, count)]

        async def ask(_: int, wanted: Sequence[Mapping[str, object]] = (PLATFORM, *more)) -> None:
            await asker.search(SORTED + b"&count=none", list(wanted), 1)

        curve.append((float(count), await least(ask)))
    return {"search, 20 rows": curve}


async def modules() -> Mapping[str, Points]:
    """By the number of modules in a process, of 12 routes each."""

    async def endpoint(_: Request) -> Response:
        return Response(200)

    curve = []
    for count in (1, 5, 10, 25, 50):
        services = {
            f"m{n}-service": [
                Route(method="GET", path=f"/api/r{r}/{{id}}", handler=endpoint, name=f"m{n}_r{r}", summary="")
                for r in range(12)
            ]
            for n in range(count)
        }
        handler = Application(services, settings=HttpSettings(access_log="off")).handler

        async def ask(number: int, count: int = count, handler: Any = handler) -> None:
            path = f"/m{number % count}-service/api/r{number % 12}/7"
            for _ in range(20):
                await handler(Request("GET", path, b"", caller(1), BufferedBody()))

        curve.append((float(count), await least(ask) / 20))
    return {"pipeline and routing": curve}


async def partners(most: int = 100_000) -> Mapping[str, Points]:
    """By how many callers take turns; a process remembers 10,000 (`COFFEE_HTTP_CALLERS_REMEMBERED`)."""

    async def endpoint(_: Request) -> Response:
        return Response(200)

    route = Route(method="GET", path="/api/r", handler=endpoint, name="r", summary="")
    curve = []
    count = 1
    while count <= most:
        handler = Application({"m-service": [route]}, settings=HttpSettings(access_log="off")).handler
        callers = [caller(1 + number) for number in range(count)]
        place = 0
        for headers in callers[:20_000]:
            await handler(Request("GET", "/m-service/api/r", b"", headers, BufferedBody()))

        async def ask(_: int, handler: Any = handler, callers: Sequence[dict[bytes, bytes]] = callers) -> None:
            nonlocal place
            for _ in range(20):
                place = (place + 1) % len(callers)
                await handler(Request("GET", "/m-service/api/r", b"", callers[place], BufferedBody()))

        curve.append((float(count), await least(ask) / 20))
        count *= 10
    return {"pipeline": curve}


def sessions(most: int = 1_000_000) -> Mapping[str, Points]:
    """By the number of sessions that are held in process; each is as large as a session and a plan are."""
    curve = []
    count = 1000
    while count <= most:
        cache = QueueCache[Counted](count * 2)
        keys = [f"session:{number:012d}" for number in range(count)]
        for key in keys:
            cache.set(key, Counted(1))
        picked = random.Random(7).choices(keys, k=20_000)
        best = float("inf")
        for _ in range(9):
            begun = time.thread_time()
            for key in picked:
                cache.get(key)
            best = min(best, (time.thread_time() - begun) / len(picked) * 1e9)
        curve.append((float(count), best))
        count *= 10
    return {"get from the in-process tier": curve}


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--only", default="", help="names of curves, with commas between them; all if it is not there")
    chosen = options.parse_args()
    only = set(filter(None, chosen.only.split(",")))
    FOLDER.mkdir(parents=True, exist_ok=True)

    def keep(name: str, title: str, x: str, y: str, curves: Mapping[str, Points]) -> None:
        (FOLDER / f"{name}.svg").write_text(svg(title, x, y, curves), encoding="utf-8")
        for curve, points in curves.items():
            print(f"{title}, {curve}: " + ", ".join(f"{a:,.0f}: {b:,.1f}" for a, b in points), flush=True)

    def wanted(*names: str) -> bool:
        return not only or not only.isdisjoint(names)

    micro = "microseconds"
    if wanted("sessions"):
        keep("sessions", "Sessions held in process", "sessions", "nanoseconds", sessions())
    if wanted("modules"):
        keep("modules", "Modules in one process", "modules", micro, await modules())
    if wanted("partners"):
        keep("partners", "Partners who take turns", "partners", micro, await partners())
    with tempfile.TemporaryDirectory() as name:
        if wanted("connections"):
            async with embedded_servers(Path(name), {"valkey"}, durable=False) as urls:
                assert urls.redis_url is not None
                curves = await connections(Path(name), urls.redis_url)
            keep("connections", "Connections to the gateway", "connections", f"CPU {micro}", curves)
        if not wanted("filters", "depth", "rows"):
            return
        async with embedded_servers(Path(name), {"postgres"}, durable=False) as urls:
            assert urls.database_url is not None
            made = build(urls.database_url)
            await made.store.open()
            asker = Asker(made.application)
            raw = await asyncpg.connect(urls.database_url)
            await raw.execute(module.SCHEMA)
            await raw.close()
            if wanted("filters"):
                keep("filters", "Filters of a search", "filters", micro, await filters(asker))
            if wanted("depth"):
                keep("depth", "Depth of a page", "page of 20 rows", micro, await depth(asker))
            if wanted("rows"):
                keep("rows", "Rows of a table", "rows", micro, await rows(urls.database_url, asker, chosen.rows))
            await made.store.close()


if __name__ == "__main__":
    uvloop.run(main())
