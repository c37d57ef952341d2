"""The command `coffee worker`, from an event of one process to the row that another finds."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from coffee_core.domain.context import RequestContext
from coffee_core.domain.event import Delivery
from coffee_core.domain.plan import Plan
from coffee_core.embedded.fresh_database import fresh_database
from coffee_core.embedded.servers import Servers
from coffee_core.messaging.brokers.by_url import make_broker
from coffee_core.messaging.events import EventBus
from coffee_core.messaging.outbox import Outbox
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.persistence.pool import Pool
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.testing.broker import until
from modules.profile_collection.events import CollectionActivity
from tests.servers import url_of

ROOT = Path(__file__).parents[3]
PARTNER = 424_242


@pytest.fixture(scope="module")
async def database_url(servers: Servers) -> AsyncIterator[str]:
    """Of its own: all migrations are run on it, and others have made tables of some in the session's."""
    async with fresh_database(await url_of("COFFEE_TEST_DATABASE_URL", servers, "postgres")) as url:
        yield url


def environment(database_url: str, broker_url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COFFEE_")}
    return kept | {
        "COFFEE_DATABASE_URL": database_url,
        "COFFEE_BROKER_URL": broker_url,
        "COFFEE_CURSOR_KEY": "k" * 32,
        "COFFEE_METRICS_PORT": "19400",
    }


async def coffee(environment: dict[str, str], *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "coffee_core.cli.main", *arguments, cwd=ROOT, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, out.decode()
    return out.decode()


async def kept(pool: Pool, title: str) -> int:
    connection = await pool.take()
    found: int = await connection.raw.fetchval(
        "SELECT count(*) FROM activity.activity WHERE partner_id = $1 AND title = $2", PARTNER, title
    )
    pool.give(connection)
    return found


@pytest.mark.parametrize("delivery", list(Delivery), ids=lambda one: one.value)
async def test_an_event_of_one_process_becomes_a_row_of_another(
    database_url: str, nats_url: str, delivery: Delivery
) -> None:
    told = environment(database_url, nats_url)
    await coffee(told, "migrate", "up")
    pool = Pool(database_url, DatabaseSettings(url=SecretStr(database_url)))
    broker = make_broker(MessagingSettings(broker_url=SecretStr(nats_url)))
    await broker.open()
    bus = EventBus(broker, outbox=Outbox(pool))
    await bus.start()
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "coffee_core.cli.main", "worker", "--only", "activity", cwd=ROOT, env=told,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert worker.stdout is not None
    assert b"listening on coffee.dx___activity_tracker_rk" in await asyncio.wait_for(worker.stdout.readline(), 60)
    title = f"by {delivery.value}"
    async with acting_as(RequestContext(request_id="r", partner_id=PARTNER, user_id=1, plan=Plan.SAAS)):
        bus.raise_event(CollectionActivity(title=title, activity_type="PROFILE_COLLECTION"), delivery)

    async def there() -> bool:
        return await kept(pool, title) == 1

    await until(there, 30)
    assert "waiting   0" in await coffee(told, "outbox", "status")
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(worker.wait(), 30) == 0
    await bus.close()
    await broker.close()
    await pool.close()


async def test_a_dead_letter_is_listed_without_its_body_and_replayed(database_url: str, nats_url: str) -> None:
    told = environment(database_url, nats_url)
    await coffee(told, "migrate", "up")
    pool = Pool(database_url, DatabaseSettings(url=SecretStr(database_url)))
    broker = make_broker(MessagingSettings(broker_url=SecretStr(nats_url)))
    await broker.open()
    bus = EventBus(broker)
    await bus.start()
    async with acting_as(RequestContext(request_id="r", partner_id=PARTNER, plan=Plan.SAAS)):
        bus.raise_event(CollectionActivity(title="a private title", activity_type="not allowed"))
    await until(lambda: bus.waiting == 0)
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "coffee_core.cli.main", "worker", "--only", "activity", cwd=ROOT, env=told,
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    topic = CollectionActivity.topic
    listed = ""

    async def buried() -> bool:
        nonlocal listed
        listed = await coffee(told, "dead-letters", "list", topic)
        return "partner=424242" in listed

    await until(buried, 60)
    assert "activity_type" in listed
    assert "a private title" not in listed
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(worker.wait(), 30) == 0
    assert re.search(r"[1-9]\d* put back", await coffee(told, "dead-letters", "replay", topic))
    assert f"{topic}: 0" in await coffee(told, "dead-letters", "list", topic)
    await bus.close()
    await broker.close()
    await pool.close()
