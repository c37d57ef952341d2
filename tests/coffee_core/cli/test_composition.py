"""What the one place that puts everything together adds to modules and worker."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from pydantic import SecretStr

from coffee_core.cli.composition import compose
from coffee_core.cli.serving import application
from coffee_core.messaging.tables import FRAMEWORK
from coffee_core.persistence.migrations.runner import upgrade
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.rest.container import Container, Mounted
from coffee_core.rest.route import Route
from coffee_core.wire.message import BufferedBody, Request, Response

OLD = """
INSERT INTO coffee.idempotency (partner_id, user_id, key, fingerprint, status, headers, stored_at)
VALUES (8000001, 1, $1, '', 204, '{}', now() - $2 * interval '1 hour')
"""
KEYS = "SELECT key FROM coffee.idempotency WHERE partner_id = 8000001"


class CopperModule:
    """A module with a route of its own that asks to be repeatable, and one that does not."""

    name, service, migrations = "copper", "copper-service", None

    def mount(self, container: Container) -> Mounted:
        async def make(_: Request) -> Response:
            return Response(201, b"{}")

        once = Route(method="POST", path="/api/pot", handler=make, name="pot", summary="", status=201, repeatable=True)
        plain = Route(method="POST", path="/api/pan", handler=make, name="pan", summary="", status=201)
        return Mounted(routes=[once, plain])


def settings(url: str) -> DatabaseSettings:
    return DatabaseSettings(url=SecretStr(url), read_url=SecretStr(url), pool_min=1)


def test_a_modules_route_that_asks_for_it_takes_an_idempotency_key() -> None:
    (mounted,) = compose([CopperModule()], database=settings("postgresql:///")).mounted
    taking = {route.name for route in mounted.routes if "Idempotency-Key" in {p.name for p in route.parameters}}
    assert taking == {"pot"}


@pytest.mark.parametrize("read_url", ["", "the primary's"])
def test_without_another_server_to_read_from_there_is_one_pool(read_url: str) -> None:
    url = "postgresql:///one"
    database = DatabaseSettings(url=SecretStr(url), read_url=SecretStr(url if read_url else ""))
    assert compose([], database=database).store.replica is None


async def test_the_worker_forgets_answers_that_were_kept_long_enough(database_url: str) -> None:
    await upgrade(database_url, [FRAMEWORK], lambda _: None)
    raw = await asyncpg.connect(database_url)
    await raw.execute(OLD, "old", 25)
    await raw.execute(OLD, "young", 23)
    async with compose([], database=settings(database_url)).opened(listening=False) as composition:
        worker = composition.worker()
        working = asyncio.create_task(worker.run())
        async with asyncio.timeout(30):
            while {row[0] for row in await raw.fetch(KEYS)} != {"young"}:
                await asyncio.sleep(0.05)
        worker.stop()
        await working
    assert [row[0] for row in await raw.fetch(KEYS)] == ["young"]
    await raw.close()


class Counting:
    """A module that counts with one line."""

    name = "counting"
    service = "counting-service"
    migrations = None

    def mount(self, container: Container) -> Mounted:
        sold = container.metrics.counter("kettles_sold_total", "Kettles sold.", ["colour"])

        async def sell(_: Request) -> Response:
            sold.add(1, "red")
            return Response(204, content_type=None)

        route = Route(method="POST", path="/api/kettle", handler=sell, name="kettle_sell", summary="Sell", public=True)
        return Mounted(routes=[route])


async def test_prometheus_shows_pools_outbox_and_what_modules_count(database_url: str) -> None:
    composed = compose([Counting()], database=DatabaseSettings(url=SecretStr(database_url), pool_max=3))
    app = application(composed)
    await composed.store.open()
    try:
        held = await composed.store.pool.take()
        await app.handler(Request("POST", "/counting-service/api/kettle", b"", {}, BufferedBody()))
        lines = composed.container.metrics.text().decode().splitlines()
        composed.store.pool.give(held)
    finally:
        await composed.store.close()
    for line in (
        'kettles_sold_total{colour="red"} 1.0',
        'coffee_db_pool_max{pool="primary"} 3.0',
        'coffee_db_pool_in_use{pool="primary"} 1.0',
        'coffee_db_pool_waiting{pool="primary"} 0.0',
        'coffee_db_pool_refused_total{pool="primary"} 0.0',
        "coffee_outbox_lag_seconds 0.0",
    ):
        assert line in lines, "\n".join(lines)
