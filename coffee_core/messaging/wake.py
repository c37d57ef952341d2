"""PostgreSQL's notifications, which wake the relay. A hint: without them it looks by itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import asyncpg

from coffee_core.messaging.outbox import CHANNEL

log = logging.getLogger(__name__)

PAUSE = 1.0
"""Before connecting again. Seconds."""


async def listen(
    url: str, wake: Callable[[], None], *, connect_seconds: float = 5.0, ping_seconds: float = 30.0
) -> None:
    """Call `wake` at each notification, on a connection of its own, until cancelled. Connects again when it is lost,
    and wakes then, because one may have been missed."""
    while True:
        try:
            connect: Any = asyncpg.connect  # untyped; its inferred types are narrower than what it takes
            connection = await connect(url, timeout=connect_seconds)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("no notifications for the outbox: %s", type(error).__name__)
            await asyncio.sleep(PAUSE)
            continue
        try:
            await _listen_on(connection, wake, ping_seconds)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("notifications for the outbox ended: %s", type(error).__name__)
            await asyncio.sleep(PAUSE)
        finally:
            with contextlib.suppress(Exception):
                connection.terminate()


async def _listen_on(connection: Any, wake: Callable[[], None], ping_seconds: float) -> None:
    def notified(*_: object) -> None:
        wake()

    await connection.add_listener(CHANNEL, notified)
    wake()
    while True:
        await asyncio.sleep(ping_seconds)
        await connection.execute("SELECT 1", timeout=ping_seconds)
