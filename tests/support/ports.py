"""Ports for programs that are told which to take."""

from __future__ import annotations

import random
import socket

BELOW_EPHEMERAL = range(12_000, 32_000)
"""Never given to an outgoing connection: on Linux those begin at 32768 (`net.ipv4.ip_local_port_range`)."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, and that no client's connection may take before the program does."""
    probes: list[socket.socket] = []
    try:
        for port in random.sample(BELOW_EPHEMERAL, len(BELOW_EPHEMERAL)):
            probe = socket.socket()
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                probe.close()
                continue
            probes.append(probe)
            if len(probes) == count:
                return [int(probe.getsockname()[1]) for probe in probes]
        raise RuntimeError(f"there are no {count} free ports")
    finally:
        for probe in probes:
            probe.close()


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]
