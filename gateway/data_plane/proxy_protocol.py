"""The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): who is at the far end of a load balancer.

It is read to the letter, and only from networks that the configuration names: whoever may send it may be anybody.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Awaitable, Callable
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
MAX_V1: Final = 107
MAX_V2: Final = 4096
"""Bytes after the fixed part; addresses take 36 at most, the rest are extensions."""

_V1: Final = re.compile(
    rb"PROXY (?:UNKNOWN(?: [!-~ ]*)?"
    rb"|TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))\r\n"
).fullmatch
_LENGTHS: Final = {0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216, 0x00: 0}
"""Address bytes by family and transport."""

Read = Callable[[int], Awaitable[bytes]]
"""Exactly so many bytes, which are waited for; an OSError if they do not come."""


class ProxyHeaderError(Exception):
    """What came is no header of the protocol: the connection is closed without an answer."""


async def read_proxy_header(read: Read) -> str:
    """The client's address, empty where the proxy speaks for itself or names none. Takes not one byte too many."""
    start = await read(len(SIGNATURE))
    if start == SIGNATURE:
        fixed = await read(4)
        return version_2(fixed, await read(_length(fixed)))
    if not start.startswith(b"PROXY "):
        raise ProxyHeaderError("there is none")
    line = bytearray(start)
    while not line.endswith(b"\r\n"):
        if len(line) >= MAX_V1:
            raise ProxyHeaderError("it is too long")
        line += await read(1)
    return version_1(bytes(line))


def version_1(line: bytes) -> str:
    """Of a line with its end."""
    found = _V1(line) if len(line) <= MAX_V1 else None
    if found is None:
        raise ProxyHeaderError("the line is malformed")
    family, source, destination, *ports = found.groups()
    if family is None:
        return ""
    if any(int(port) > 65535 for port in ports):
        raise ProxyHeaderError("a port is out of range")
    kind = IPv4Address if family == b"4" else IPv6Address
    try:
        kind(destination.decode())
        return str(kind(source.decode()))
    except AddressValueError:
        raise ProxyHeaderError("an address is malformed") from None


def version_2(fixed: bytes, rest: bytes) -> str:
    """Of the four bytes after the signature, and of what they announce."""
    command, family = fixed[0], fixed[1]
    _length(fixed)
    size = _LENGTHS.get(family)
    if command == 0x20:  # LOCAL: the proxy itself, for example to see whether we are well
        return ""
    if size is None or len(rest) < size:
        raise ProxyHeaderError("the addresses are malformed")
    _check_extensions(rest[size:])
    if family >> 4 == 1:
        return str(IPv4Address(rest[:4]))
    if family >> 4 == 2:
        return str(IPv6Address(rest[:16]))
    return ""


def _length(fixed: bytes) -> int:
    length = int.from_bytes(fixed[2:4], "big")
    if fixed[0] not in {0x20, 0x21} or length > MAX_V2:
        raise ProxyHeaderError("version, command or length is none that there is")
    return length


def _check_extensions(rest: bytes) -> None:
    """They say nothing that is used here; but they must fill the header to its end."""
    at = 0
    while at < len(rest):
        if at + 3 > len(rest):
            raise ProxyHeaderError("an extension is cut off")
        at += 3 + int(struct.unpack_from("!H", rest, at + 1)[0])
    if at != len(rest):
        raise ProxyHeaderError("an extension is longer than the header")
