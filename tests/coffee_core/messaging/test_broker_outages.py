"""A broker that goes away is waited for no longer than the settings say, and comes back by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import pytest
from pydantic import SecretStr

from coffee_core.domain.errors import CoffeeError
from coffee_core.messaging.broker import Broker
from coffee_core.messaging.brokers.by_url import make_broker
from coffee_core.messaging.errors import BrokerUnavailableError, MessageRefusedError
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.testing.broker import Taker, a_message, a_topic, until
from tests.support.cable import Cable

SETTINGS = MessagingSettings(broker_url=None, publish_seconds=0.5, connect_seconds=5, abandoned_seconds=1)
KINDS = ["nats_url", "redis_url", pytest.param("rabbitmq_url", marks=pytest.mark.rabbitmq)]


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


def through(cable: Cable, url: str) -> str:
    """The cable's address with the user of the real one."""
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    split = urlsplit(cable.url)
    return urlunsplit(split._replace(netloc=f"{user}{at}{split.netloc}")) if at else cable.url


def broker_at(url: str, settings: MessagingSettings = SETTINGS) -> Broker:
    return make_broker(settings.model_copy(update={"broker_url": SecretStr(url)}))


@asynccontextmanager
async def behind_a_cable(url: str) -> AsyncIterator[tuple[Cable, Broker]]:
    async with Cable(url) as cable:
        broker = broker_at(through(cable, url))
        await broker.open()
        try:
            yield cable, broker
        finally:
            await broker.close()


@pytest.mark.parametrize("outage", ["cut", "hang"])
async def test_publishing_ends_in_time_while_the_broker_is_away_and_works_again_afterwards(
    url: str, outage: str
) -> None:
    topic, taker = a_topic(), Taker()
    async with behind_a_cable(url) as (cable, broker):
        await broker.publish(a_message(topic))
        if outage == "cut":
            await cable.cut()
        else:
            cable.hang()
        for _ in range(3):
            with pytest.raises(BrokerUnavailableError):
                async with asyncio.timeout(10):
                    await broker.publish(a_message(topic))
        if outage == "cut":
            await cable.plug_in()
        else:
            cable.flow()
        last = a_message(topic)

        async def published() -> bool:
            try:
                await broker.publish(last)
            except BrokerUnavailableError:
                return False
            return True

        await until(published, 30)
        subscription = await broker.subscribe(topic, taker, prefetch=4)
        await until(lambda: str(last.id) in taker.ids())
        await subscription.stop(5)


async def test_a_subscription_goes_on_after_the_connection_was_lost(url: str) -> None:
    topic, taker, direct = a_topic(), Taker(), broker_at(url)
    await direct.open()
    async with behind_a_cable(url) as (cable, broker):
        subscription = await broker.subscribe(topic, taker, prefetch=4)
        first, second = a_message(topic), a_message(topic)
        await direct.publish(first)
        await taker.until(1)
        await cable.cut()
        await direct.publish(second)
        await cable.plug_in()
        await until(lambda: str(second.id) in taker.ids(), 60)
        await subscription.stop(5)
    await direct.close()
    assert taker.ids()[str(second.id)] >= 1


async def test_a_broker_that_was_never_there_is_an_error_in_time_and_used_once_it_is_there(url: str) -> None:
    async with Cable(url) as cable:
        await cable.cut()
        broker = broker_at(through(cable, url))
        with pytest.raises(BrokerUnavailableError):
            async with asyncio.timeout(20):
                await broker.open()
        with pytest.raises(BrokerUnavailableError):
            await broker.publish(a_message(a_topic()))
        await cable.plug_in()

        async def published() -> bool:
            try:
                await broker.publish(a_message(topic))
            except BrokerUnavailableError:
                return False
            return True

        topic = a_topic()
        await until(published, 30)
        await broker.close()


async def test_a_message_that_nats_will_never_take_is_refused_and_not_waited_for(nats_url: str) -> None:
    broker = broker_at(nats_url)
    await broker.open()
    with pytest.raises(MessageRefusedError):
        await broker.publish(a_message(a_topic(), b"x" * 2_000_000))
    await broker.close()


async def test_an_error_tells_no_password(url: str) -> None:
    async with Cable(url) as cable:
        await cable.cut()
        where = urlsplit(cable.url)
        broker = broker_at(urlunsplit(where._replace(netloc=f"me:hidden-word@{where.netloc}")))
        with pytest.raises(CoffeeError) as failed:
            await broker.open()
    assert "hidden-word" not in failed.value.detail
