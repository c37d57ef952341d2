"""Header lines: the grammar of one, and those that were read before."""

from __future__ import annotations

from typing import Final

from coffee_core.wire.errors import WireError

# RFC 9110 sections 5.1 and 5.5, without obsolete folding; bytes above 0x7f are opaque
_NAME: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUE: Final = bytes((0x09, *range(0x20, 0x7F), *range(0x80, 0x100)))
_SECRET: Final = frozenset((b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"))


NAMES: Final = 1024
"""Names that are remembered; further ones are looked at each time."""


class HeaderLines:
    """Reads header lines, and remembers the short ones: nearly all of a message's lines stood in the one before it,
    and a line means the same wherever it stands.

    Bounded: `lines` of at most `size` bytes; when there are so many all are forgotten. Longer ones are read each time,
    and tokens and cookies with them: they are not kept here.
    """

    __slots__ = ("_lines", "_names", "_size", "known")

    def __init__(self, lines: int, size: int = 128) -> None:
        self._lines = lines
        self._size = size
        self.known: dict[bytes, tuple[bytes, bytes]] = {}
        """Name, in lower case, and value of each line; look here before `read`."""
        self._names: dict[bytes, bytes] = {}

    def read(self, line: bytes, *, keep: bool = True) -> tuple[bytes, bytes]:
        """Name and value of a line without its end; `WireError` 400 if it is none. `keep` those that may come again."""
        name, colon, value = line.partition(b":")
        lower = self._names.get(name) or self._name(name)
        if not colon or not lower or value.translate(None, _VALUE):
            raise WireError(400, "the message head is malformed: one of its lines is not a name, a colon and a value")
        header = (lower, value.strip(b" \t"))
        if keep and len(line) <= self._size and lower not in _SECRET:
            if len(self.known) >= self._lines:
                self.known.clear()
            self.known[line] = header
        return header

    def _name(self, name: bytes) -> bytes:
        """In lower case; empty if it is none. There are fewer names than lines: short ones are remembered."""
        if name.translate(None, _NAME):
            return b""
        lower = name.lower()
        if len(name) <= 64 and len(self._names) < NAMES:
            self._names[name] = lower
        return lower
