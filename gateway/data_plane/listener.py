"""Accepting where more is due before HTTP begins: the PROXY protocol, a TLS handshake, or first one and then the other.

Without them asyncio's own server accepts, and nothing here runs.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from typing import TYPE_CHECKING, Final

from gateway.data_plane.proxy_protocol import ProxyHeaderError, read_proxy_header
from gateway.data_plane.tls import ServerTls
from gateway.verdict.forwarding import TrustedProxies

if TYPE_CHECKING:
    from gateway.data_plane.front import GatewayFront

log: Final = logging.getLogger("gateway.data_plane")

_AT_ONCE: Final = 64
"""Connections that are accepted before the loop turns."""
_REST: Final = 0.5
"""Seconds without accepting when the process has no descriptor left."""
_EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Listener:
    """One listening socket. A connection that is not through with its opening counts as one of the front's."""

    def __init__(
        self, front: GatewayFront, sock: socket.socket, proxied: TrustedProxies, tls: ServerTls | None
    ) -> None:
        self._front = front
        self._sock = sock
        self._proxied = proxied
        self._tls = tls
        self._resume: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accept."""
        self._sock.setblocking(False)
        self._sock.listen(self._front.settings.backlog)
        asyncio.get_running_loop().add_reader(self._sock, self._accept)

    def close(self) -> None:
        """Accept no more; what has been accepted goes on."""
        if self._resume is not None:
            self._resume.cancel()
        if self._sock.fileno() < 0:
            return
        asyncio.get_running_loop().remove_reader(self._sock)
        self._sock.close()

    def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        front = self._front
        for _ in range(_AT_ONCE):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                log.error("no connection is accepted for a moment: %s", error.strerror)  # noqa: TRY400
                loop.remove_reader(self._sock)
                self._resume = loop.call_later(_REST, loop.add_reader, self._sock, self._accept)
                return
            if len(front.opening) + len(front.connections) >= front.settings.max_connections:
                sock.close()
                continue
            sock.setblocking(False)
            task = loop.create_task(self._open(sock, address[0] if isinstance(address, tuple) else ""))
            front.opening.add(task)
            task.add_done_callback(front.opened)

    async def _open(self, sock: socket.socket, peer: str) -> None:
        loop = asyncio.get_running_loop()
        front, tls = self._front, self._tls
        try:
            if peer in self._proxied:
                async with asyncio.timeout(front.settings.head_timeout):
                    peer = await read_proxy_header(_Exactly(sock).read) or peer
            connection = front.connection()
            connection.peer = peer
            if tls is None:
                await loop.connect_accepted_socket(lambda: connection, sock)
            else:
                await loop.connect_accepted_socket(
                    lambda: connection,
                    sock,
                    ssl=tls.context,
                    ssl_handshake_timeout=tls.settings.handshake_timeout,
                )
        except ProxyHeaderError as error:
            log.warning("a proxy header of %s is refused: %s", peer, error)
            front.refused += 1
            sock.close()
        except OSError:  # of TLS, of time, or of a client that has left
            front.refused += 1
            sock.close()
        except asyncio.CancelledError:
            sock.close()
            raise


class _Exactly:
    """Reads from a socket what is asked for and nothing beyond."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def read(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        data = b""
        while len(data) < size:
            piece = await loop.sock_recv(self._sock, size - len(data))
            if not piece:
                raise ConnectionResetError("the proxy has left")
            data += piece
        return data
