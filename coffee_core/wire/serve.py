"""Serving until told to stop: one process's loop, and the start of several."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence

import uvloop

from coffee_core.domain.errors import CoffeeError
from coffee_core.wire.front import Front
from coffee_core.wire.listen import bind
from coffee_core.wire.message import Handler
from coffee_core.wire.server import HandlerFront
from coffee_core.wire.settings import WireSettings
from coffee_core.wire.workers import Supervisor

Main = Callable[[Sequence[socket.socket]], Coroutine[object, object, None]]
"""Serves on bound sockets until SIGTERM: usually `serve(handler, sockets=sockets)` after making the handler."""

Hook = Callable[[], Awaitable[None]]


async def serve_front(
    front: Front,
    sockets: Sequence[socket.socket],
    *,
    on_ready: Hook | None = None,
    on_drain: Hook | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Listen on bound sockets until SIGTERM, SIGINT or `stop`, then drain. A second signal ends the drain's wait.

    `on_ready` runs once connections are accepted, `on_drain` while they still are, before the drain.
    """
    loop = asyncio.get_running_loop()
    stopped = stop or asyncio.Event()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stopped.set)
    try:
        await front.start(sockets)
        if on_ready is not None:
            await on_ready()
        await stopped.wait()
        for number in signals:
            loop.add_signal_handler(number, front.hurry)
        if on_drain is not None:
            await on_drain()
        await front.drain()
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def serve(
    handler: Handler,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    unix_path: str = "",
    sockets: Sequence[socket.socket] = (),
    settings: WireSettings | None = None,
    on_start: Hook | None = None,
    on_ready: Hook | None = None,
    on_drain: Hook | None = None,
    on_stop: Hook | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve `handler` in this process, on `sockets` if given, else on an address of its own.

    `on_start` runs before the first connection is accepted, `on_drain` when the end has been asked for and before it
    begins, `on_stop` after the last connection has ended, also if serving failed. Ends after a drain on SIGTERM, SIGINT
    or `stop`.
    """
    bound = list(sockets) or bind(host, port, unix_path=unix_path)
    try:
        if on_start is not None:
            await on_start()
        front = HandlerFront(handler, settings or WireSettings())
        await serve_front(front, bound, on_ready=on_ready, on_drain=on_drain, stop=stop)
    finally:
        for sock in bound:
            sock.close()
        if on_stop is not None:
            await on_stop()


def run(
    main: Main,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    unix_path: str = "",
    workers: int = 1,
    settings: WireSettings | None = None,
    reload: Callable[[], None] | None = None,
) -> None:
    """Run `main` on uvloop, in this process or under a supervisor in `workers` of them, until SIGTERM or SIGINT.

    `main` runs after the fork: it opens its own pools and connections. See `Supervisor` for what SIGHUP and `reload`
    do; one worker has a supervisor only if there is something to reload.
    """
    bounds = settings or WireSettings()
    try:
        sockets = bind(host, port, unix_path=unix_path, count=workers)
    except OSError as error:
        raise CoffeeError(f"{error.strerror}: stop who has it, or choose another one") from error
    for sock in sockets:
        sock.listen(bounds.backlog)
    _allow_descriptors(2 * bounds.max_connections + 1000)
    try:
        if workers == 1 and reload is None:
            uvloop.run(main(sockets))
            return
        shares = [[sockets[number % len(sockets)]] for number in range(workers)]
        Supervisor(lambda own: uvloop.run(main(own)), shares, grace=bounds.drain_timeout + 5.0, reload=reload).run()
    finally:
        for sock in sockets:
            sock.close()


def _allow_descriptors(wanted: int) -> None:
    """As many as the system lets this process have: soft limits are made for programs that use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
