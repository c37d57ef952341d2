"""Ports for the children: the wanted one, or the next that is free; and which of them a platform that runs has."""

import contextlib
import errno
import json
import socket
from collections.abc import Collection
from pathlib import Path

from coffee_core.domain.errors import CoffeeError

TRIES = 100
FILE = "ports.json"
"""In the data folder: the ports of the `coffee up` that runs there, or of the last one."""


def next_free_port(wanted: int, given: set[int], host: str = "127.0.0.1") -> int:
    """The first port from `wanted` on that nobody listens on and that is not `given` to another child; it is added."""
    for port in range(wanted, min(wanted + TRIES, 65536)):
        if port not in given and is_free(host, port):
            given.add(port)
            return port
    raise CoffeeError(f"no free port from {wanted} on: {TRIES} were tried on {host}")


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections linger in TIME_WAIT is free, one that is listened on is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def write_ports(folder: Path, ports: Collection[int]) -> None:
    """For those who look at the folder while its platform runs."""
    (folder / FILE).write_text(json.dumps(sorted(ports)), encoding="ascii")


def read_ports(folder: Path) -> frozenset[int]:
    """Those that the platform of this folder has, if it runs; none where nothing can be read."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return frozenset(map(int, json.loads((folder / FILE).read_text(encoding="ascii"))))
    return frozenset()
