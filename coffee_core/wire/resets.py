"""How a connection is broken off so that nobody takes what was sent for complete."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from typing import Final

log: Final = logging.getLogger("coffee.wire")

_NO_LINGER: Final = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """Drop what is not sent, and end by RST where there is such a thing: TCP."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family in {socket.AF_INET, socket.AF_INET6}:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        except OSError:
            log.debug("no reset on a socket that is gone")
    transport.abort()
