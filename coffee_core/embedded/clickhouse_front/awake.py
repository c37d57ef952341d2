"""The process while somebody asks: opens the folder, serves the socket it inherited, drains on SIGTERM or when nobody
has asked for a while."""

import asyncio
import os
import shutil
import signal
import socket
from pathlib import Path

from aiohttp import web

from coffee_core.embedded.clickhouse_front.config import FrontConfig
from coffee_core.embedded.clickhouse_front.engine import Engine
from coffee_core.embedded.clickhouse_front.server import SPOOL, Front

URL_BYTES = 1 << 20
"""Longest request line: settings and parameters travel in the URL."""


def run(config: FrontConfig) -> None:
    """Prepare the working folder, then serve until a signal, or until nobody has asked for `idle_seconds`."""
    password = Path(config.password_file).read_text(encoding="ascii").strip()
    os.chdir(config.folder)
    shutil.rmtree(SPOOL, ignore_errors=True)  # of one that was killed
    Path(SPOOL).mkdir(mode=0o700)
    asyncio.run(serve(config, password))


async def serve(config: FrontConfig, password: str) -> None:
    """Serve until SIGTERM, SIGINT or rest; then finish what is in hand within the drain time."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    engine = Engine(f"{config.folder}/store", queries=config.queries, queue=config.queue)
    await engine.open()
    front = Front(engine, password=password, body_bytes=config.body_bytes)
    runner = web.AppRunner(
        front.application(),
        handle_signals=False,
        access_log=None,
        handler_cancellation=True,  # a caller who is gone takes his query along
        auto_decompress=False,
        max_line_size=URL_BYTES,
        shutdown_timeout=config.drain_seconds,
    )
    await runner.setup()
    await web.SockSite(runner, socket.socket(fileno=config.descriptor)).start()
    resting = asyncio.create_task(_rest(front, engine, config.idle_seconds, stop))
    await stop.wait()
    resting.cancel()
    await runner.cleanup()
    await engine.close()


async def _rest(front: Front, engine: Engine, seconds: float, stop: asyncio.Event) -> None:
    """Stop once nobody has asked for so long, and nobody's session would be lost."""
    if seconds == 0:
        return
    while front.idle_for() < seconds or engine.has_sessions():  # noqa: ASYNC110 - time itself is waited for
        await asyncio.sleep(max(0.05, seconds - front.idle_for()))
    stop.set()
