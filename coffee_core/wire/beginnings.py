"""Request headers of which the beginning was read before.

A gateway sends a caller's requests with the same lines but for the last ones, which name the trace and the request.
Callers without a gateway send the same lines altogether.
"""

from __future__ import annotations

from typing import Final

from coffee_core.wire.answer_lines import FRAMING
from coffee_core.wire.header_lines import HeaderLines
from coffee_core.wire.request_memory import LENGTH_DIGITS, Headers, KnownHeaders, RequestMemory

TRACE: Final = b"\r\ntraceparent: "
REQUEST: Final = b"\r\nx-bb-requestid: "
"""How the lines begin that no two requests share: the gateway writes them last, before the length of a body."""


class BeginningMemory(RequestMemory):
    """Of whole blocks, and of blocks up to the first line that belongs to one request. The lines from there on are read
    each time, as strictly as any."""

    __slots__ = ("_lines", "_max_headers")

    def __init__(self, most: int, lines: HeaderLines, max_headers: int) -> None:
        super().__init__(most)
        self._lines = lines
        self._max_headers = max_headers

    def framed(self, block: bytes) -> KnownHeaders | None:
        """What a block says of which the beginning is known; None where that is to be read with the rest: a name that
        is there twice, or that frames the message."""
        end = _beginning(block)
        known = self.known.get(block[:end]) if end else None
        if known is None or known.named is None:
            return None
        headers, named, length = known.headers.copy(), known.named.copy(), known.length
        for line in block[end:-4].split(b"\r\n"):
            header = self._lines.read(line, keep=False)
            name, value = header
            if name in named:
                return None
            if name in FRAMING:
                if name != b"content-length" or not value.isdigit() or len(value) > LENGTH_DIGITS:
                    return None
                length = int(value)
            named[name] = value
            headers.append(header)
        if len(headers) > self._max_headers:
            return None
        return KnownHeaders(headers, known.host, named=named, length=length)

    def learn(self, block: bytes, headers: Headers, host: bytes, length: int) -> KnownHeaders | None:
        """A block that was read; given back if all of it is known from now on."""
        end = _beginning(block)
        count = block.count(b"\r\n", 0, end) if end else len(headers)
        beginning = block[:end] if end else block
        named = dict(headers[:count])
        if len(named) != count or named.get(b"host") != host or not self.again(beginning):
            return None
        here = length if b"content-length" in named else 0
        known = self.keep(beginning, KnownHeaders(headers[:count], host, named=named, length=here))
        return None if end else known


def _beginning(block: bytes) -> int:
    """Where the lines of one request begin; 0 if there are none, or nothing before them."""
    trace, id = block.find(TRACE), block.find(REQUEST)
    return (trace if 0 < trace < id or id < 0 else id) + 2 if trace > 0 or id > 0 else 0
