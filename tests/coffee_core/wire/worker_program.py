"""A server of two processes for test_workers: says which process answered, or dies."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence

from coffee_core.wire.message import Request, Response
from coffee_core.wire.serve import run, serve
from coffee_core.wire.settings import WireSettings


async def handler(request: Request) -> Response:
    """Its process id, at once, late, or never."""
    if request.path == "/die":
        os.kill(os.getpid(), signal.SIGKILL)
    if request.path == "/slow":
        await asyncio.sleep(0.5)
    return Response(200, b"%d" % os.getpid())


async def main(sockets: Sequence[socket.socket]) -> None:
    """One worker."""
    await serve(handler, sockets=sockets, settings=WireSettings(drain_timeout=5))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    run(main, port=int(sys.argv[1]), workers=int(sys.argv[2]))
