"""Recoverer: whatever a handler raises becomes one kind of error, and an attempt ends in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from coffee_core.domain.errors import CoffeeError
from coffee_core.messaging.handling import HandlerError, Handling, Step
from coffee_core.messaging.settings import MessagingSettings

log = logging.getLogger(__name__)


def recovered(name: str, handle: Callable[[Any], Awaitable[None]], settings: MessagingSettings) -> Step:
    """Call `handle` with the event; everything but cancellation comes out as `HandlerError`.

    `SystemExit` too: a handler's `sys.exit()` is the handler's failure and not the end of the worker.
    """

    async def step(handling: Handling) -> None:
        try:
            async with asyncio.timeout(settings.handler_seconds):
                await handle(handling.event)
        except CoffeeError as error:
            raise HandlerError(f"{type(error).__name__}: {error.detail}") from error
        except TimeoutError as error:
            raise HandlerError(f"TimeoutError: not done after {settings.handler_seconds:g} s, or {error!r}") from error
        except (Exception, SystemExit) as error:
            log.exception("%s failed at message %s", name, handling.message.id)
            raise HandlerError(f"{type(error).__name__}: {error}") from error

    return step
