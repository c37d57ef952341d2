"""A worker as a process of its own, to be killed: `python -m ... DATABASE_URL BROKER_URL TOPIC relay|handle`.

As `handle` it writes each event into `public.written`, slowly, and says so on stdout.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import cast

import uvloop
from pydantic import SecretStr

from coffee_core.messaging.brokers.by_url import make_broker
from coffee_core.messaging.listeners import Listener
from coffee_core.messaging.message import Message
from coffee_core.messaging.settings import MessagingSettings, OutboxSettings
from coffee_core.messaging.worker import Worker
from coffee_core.persistence.pool import Pool, PostgresTransaction
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.persistence.unit_of_work import begin_transaction
from tests.coffee_core.messaging.sample import Happened


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def main(database_url: str, broker_url: str, topic: str, role: str) -> None:
    settings = MessagingSettings(broker_url=SecretStr(broker_url), abandoned_seconds=1, drain_seconds=10)
    pool = Pool(database_url, DatabaseSettings(url=SecretStr(database_url)))
    await pool.open()
    broker = make_broker(settings)

    async def handle(event: Happened) -> None:
        work = begin_transaction()
        transaction = cast("PostgresTransaction", await work.join(pool))
        await transaction.connection.raw.execute(
            "INSERT INTO public.written (topic, what) VALUES ($1, $2)", topic, event.what
        )
        say(f"in hand {event.what}")
        await asyncio.sleep(float(os.environ.get("HANDLE_SECONDS", "0")))

    listeners = [Listener(topic=topic, event=Happened, handle=handle, name=f"program.{topic}", prefetch=1)]
    outbox = OutboxSettings(lease_seconds=1, poll_seconds=0.05, batch=40)
    worker = Worker(
        pool,
        Telling(broker) if role == "relay" else broker,  # type: ignore[arg-type]  # a Broker but for what it adds
        listeners=listeners if role == "handle" else (),
        settings=settings,
        outbox=outbox,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    say("up")
    await worker.run()
    await broker.close()
    await pool.close()
    say("ended")


class Telling:
    """Says after each message that it was published, and takes its time."""

    def __init__(self, broker: object) -> None:
        self._broker = broker

    def __getattr__(self, name: str) -> object:
        return getattr(self._broker, name)

    async def publish(self, message: Message) -> None:
        await self._broker.publish(message)  # type: ignore[attr-defined]  # a Broker
        say(f"published {message.id}")
        await asyncio.sleep(0.002)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:5]))
