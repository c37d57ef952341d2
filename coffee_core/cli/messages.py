"""`coffee outbox` and `coffee dead-letters`: what waits, what was given up, and putting it back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from coffee_core.cli.composition import compose, find_modules
from coffee_core.domain.errors import CoffeeError
from coffee_core.messaging.broker import ERROR, FAILED_AT, Broker, DeadLetter
from coffee_core.messaging.brokers.by_url import make_broker
from coffee_core.messaging.message import ID, PARTNER, TYPE
from coffee_core.messaging.outbox_table import OutboxTable
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.messaging.topic import Topic, parse_topic
from coffee_core.persistence.pool import Pool
from coffee_core.persistence.settings import DatabaseSettings

outbox = typer.Typer(help="Messages that wait for the broker.", no_args_is_help=True)
dead_letters = typer.Typer(help="Messages that no listener could handle.", no_args_is_help=True)

Limit = Annotated[int, typer.Option(help="At most so many, the oldest first.", min=1, max=10_000)]
TopicName = Annotated[str | None, typer.Argument(help="exchange___queue; without it, every topic a module listens to.")]


@outbox.command("status")
def outbox_status() -> None:
    """How many messages wait and for how long; how many the broker has refused for good."""

    async def look() -> None:
        async with _table() as table:
            status = await table.status()
        typer.echo(f"waiting   {status.waiting}{'+' if status.waiting >= 10_000 else ''}")
        typer.echo(f"lag       {status.lag:.1f} s")
        typer.echo(f"held up   {status.held_up}")
        typer.echo(f"refused   {status.refused}")

    asyncio.run(look())


@outbox.command("replay")
def outbox_replay(*, limit: Limit = 1000) -> None:
    """Put messages that the broker has refused back into the outbox, behind those that wait."""

    async def replay() -> None:
        async with _table() as table:
            typer.echo(f"{await table.replay(limit)} put back")

    asyncio.run(replay())


@dead_letters.command("list")
def list_letters(topic: TopicName = None, *, limit: Limit = 20) -> None:
    """What was given up, and why. Bodies are not shown: they may hold personal data."""

    async def show() -> None:
        async with _broker() as broker:
            for one in _topics(topic):
                letters = await broker.dead_letters(one, limit)
                typer.echo(f"{one}: {len(letters)}{' or more' if len(letters) == limit else ''}")
                for letter in letters:
                    typer.echo(_line(letter))

    asyncio.run(show())


@dead_letters.command("replay")
def replay_letters(topic: Annotated[str, typer.Argument(help="exchange___queue")], *, limit: Limit = 1000) -> None:
    """Put them back into their queue. Listeners that had handled one of them before do not handle it again."""

    async def replay() -> None:
        async with _broker() as broker:
            typer.echo(f"{await broker.replay(parse_topic(topic), limit)} put back")

    asyncio.run(replay())


def _line(letter: DeadLetter) -> str:
    headers = letter.headers
    facts = [headers.get(name, "-") for name in (FAILED_AT, ID, TYPE)]
    error = " ".join(headers.get(ERROR, "-").split())
    return f"  {' '.join(facts)} partner={headers.get(PARTNER, '-')} {len(letter.body)} bytes: {error}"


def _topics(topic: str | None) -> Sequence[Topic]:
    if topic is not None:
        return [parse_topic(topic)]
    mounted = compose(find_modules()).mounted
    found = sorted({parse_topic(listener.topic) for one in mounted for listener in one.listeners})
    if not found:
        raise CoffeeError("no installed module listens to messages: name a topic")
    return found


@asynccontextmanager
async def _table() -> AsyncIterator[OutboxTable]:
    settings = DatabaseSettings(pool_min=0)
    url = settings.url.get_secret_value()
    if not url:
        raise CoffeeError("COFFEE_DATABASE_URL is not set: name the PostgreSQL that holds the outbox")
    pool = Pool(url, settings)
    try:
        yield OutboxTable(pool)
    finally:
        await pool.close()


@asynccontextmanager
async def _broker() -> AsyncIterator[Broker]:
    settings = MessagingSettings()
    if settings.broker_url is None:
        raise CoffeeError("COFFEE_BROKER_URL is not set: without a broker, dead letters live and die with a process")
    broker = make_broker(settings)
    await broker.open()
    try:
        yield broker
    finally:
        await broker.close()
