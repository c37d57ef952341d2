"""Retry: further attempts with growing pauses, each from a clean state."""

from __future__ import annotations

import asyncio
import random

from coffee_core.messaging.handling import HandlerError, Handling, Step
from coffee_core.messaging.inbox import Inbox
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.messaging.stats import MessagingStats
from coffee_core.persistence.unit_of_work import begin_transaction, current_work


class AlreadyHandled(Exception):  # noqa: N818  # an outcome of the attempt and no error: nothing is left to do
    """The inbox knows the message."""


def retried(name: str, step: Step, inbox: Inbox, settings: MessagingSettings, stats: MessagingStats) -> Step:
    """Attempts at `step`. Each begins the transaction anew and enters the message into the inbox first; a failed one
    is rolled back before the pause, so that no transaction is open while we wait."""

    async def attempt(handling: Handling) -> None:
        work = begin_transaction()
        if not await inbox.claim(work, name, handling.message.id):
            raise AlreadyHandled
        await step(handling)

    async def attempts(handling: Handling) -> None:
        for number in range(settings.retries):
            try:
                await attempt(handling)
            except HandlerError:
                await current_work().rollback()
                stats.retried[name,] += 1
                await asyncio.sleep(settings.retry_seconds * 2**number * random.uniform(0.5, 1))  # noqa: S311
            else:
                return
        await attempt(handling)

    return attempts
