"""Sockets to listen on: TCP, shared between processes by SO_REUSEPORT, or a unix path."""

from __future__ import annotations

import socket
import stat
from pathlib import Path


def bind(host: str = "127.0.0.1", port: int = 0, *, unix_path: str = "", count: int = 1) -> list[socket.socket]:
    """`count` sockets bound to the same address, one for each process, not yet listening; port 0 is a free one.

    The kernel spreads connections over them. A unix path has one socket, which all processes share. An address that
    is taken is an OSError that names it.
    """
    if unix_path:
        return [_bind_unix(unix_path)]
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = socket.socket(family, kind, protocol)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if count > 1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(address)
            address = sock.getsockname()
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    return sockets


def _bind_unix(path: str) -> socket.socket:
    """A socket file that a dead server left behind is replaced; one that answers, or another kind of file, is not."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    file = Path(path)
    if file.exists() and stat.S_ISSOCK(file.stat().st_mode):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                file.unlink()
    try:
        sock.bind(path)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {path}: {error.strerror}") from error
    return sock
