"""`coffee worker`: what modules do apart from requests."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
import uvloop

from coffee_core.cli.composition import compose, find_modules
from coffee_core.cli.ports import next_free_port
from coffee_core.cli.settings import PlatformSettings
from coffee_core.http.application import Application
from coffee_core.messaging.topic import Topic
from coffee_core.observability.logs import configure_logging
from coffee_core.observability.settings import ObservabilitySettings
from coffee_core.wire.listen import bind
from coffee_core.wire.server import HandlerFront
from coffee_core.wire.settings import WireSettings


def worker(
    *,
    only: Annotated[list[str] | None, typer.Option(help="Work for this module alone; may be repeated.")] = None,
    but: Annotated[list[str] | None, typer.Option("--except", help="Leave this module out; may be repeated.")] = None,
) -> None:
    """Relay the outbox and run listeners and jobs until SIGTERM or SIGINT; then finish what is in hand.

    All listeners of one topic belong into the same worker: leave out only modules that share no topic with others.
    """
    uvloop.run(_work(only or (), but or ()))


async def _work(only: Sequence[str], but: Sequence[str]) -> None:
    configure_logging(ObservabilitySettings())
    composition = compose(find_modules(only, but))
    at_work = composition.worker()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, at_work.stop)
    checks = [composition.store.check, at_work.check, *(check for one in composition.mounted for check in one.checks)]
    probes = Application({}, metrics=composition.container.metrics, ready=checks)
    front = HandlerFront(probes.operations, WireSettings())
    async with composition.opened(listening=False):
        port = next_free_port(PlatformSettings().metrics_port, set())
        await front.start(bind("127.0.0.1", port))
        typer.echo(f"at work: {_said(at_work.listeners.topics)}; metrics and probes on http://127.0.0.1:{port}")
        try:
            await probes.start()
            await at_work.run()
        finally:
            await front.drain()
            await probes.stop()


def _said(topics: Iterable[Topic]) -> str:
    names = sorted(str(topic) for topic in topics)
    return f"listening on {', '.join(names)}" if names else "no module listens to messages"
