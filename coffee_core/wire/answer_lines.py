"""Header lines of answers that are passed on: read as strictly as any, and ready to be sent again."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias

from coffee_core.wire.header_lines import HeaderLines

AnswerLine: TypeAlias = tuple[bytes, bytes, bytes, bool]
"""Name, in lower case; value; the line as it goes on, with its end, empty if it does not; whether it says how the
answer is framed."""

FRAMING: Final = frozenset(
    b"host content-length transfer-encoding expect connection upgrade content_length transfer_encoding".split()
)
"""Names that decide how a message is read; those with an underscore become the real ones behind servers of the CGI
tradition."""


class AnswerLines:
    """Reads lines, and remembers the short ones, as `HeaderLines` does and with its bounds. Lines of which
    the name is in `drops` do not go on."""

    __slots__ = ("_drops", "_lines", "_read", "_size", "known", "statuses")

    def __init__(self, lines: int, drops: AbstractSet[bytes] = frozenset(), size: int = 128) -> None:
        self._drops = drops
        self._lines = lines
        self._size = size
        self._read = HeaderLines(1, size=0).read
        self.known: dict[bytes, AnswerLine] = {}
        """By the line without its end; look here before `read`."""
        self.statuses: dict[bytes, tuple[int, bool]] = {}
        """Status lines that were read, without their ends: the status, and whether it is HTTP/1.0's."""

    def read(self, line: bytes) -> AnswerLine:
        """A line without its end; `WireError` 400 if it is none."""
        name, value = self._read(line)
        passing = b"" if name in self._drops else b"%b: %b\r\n" % (name, value)
        found = (name, value, passing, name in FRAMING)
        if len(line) <= self._size and name != b"set-cookie":
            if len(self.known) >= self._lines:
                self.known.clear()
            self.known[line] = found
        return found
