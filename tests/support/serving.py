"""An application on a socket of this machine, for clients that are programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from coffee_core.http.application import Application
from coffee_core.wire.listen import bind
from coffee_core.wire.serve import serve


@asynccontextmanager
async def served(application: Application) -> AsyncIterator[str]:
    """Its base URL, from the moment it is ready."""
    sockets, stop, ready = bind(), asyncio.Event(), asyncio.Event()

    async def started() -> None:
        ready.set()

    serving = asyncio.create_task(
        serve(
            application.handler,
            sockets=sockets,
            on_start=application.start,
            on_ready=started,
            on_stop=application.stop,
            stop=stop,
        )
    )
    await ready.wait()
    try:
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        stop.set()
        await serving
