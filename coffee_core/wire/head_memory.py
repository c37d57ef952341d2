"""Whole blocks of header lines that were read before: a program sends the same lines with every request, and what is
asked for often is answered with the same ones."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

Read = TypeVar("Read")

MET: Final = 8192
"""Blocks of which it is remembered that they were met once; when there are so many all of that is forgotten."""
LARGEST: Final = 2048
"""Bytes of a block; longer ones are read each time."""


class HeadMemory(Generic[Read]):
    """What blocks say that were met at least twice, by their bytes.

    Bounded: `most` blocks of up to `LARGEST` bytes; when there are so many all are forgotten, and `forget` is called
    every now and then: a block may hold a token. Messages that differ in one header each time (a trace, a digest) cost
    a look-up and never take room.
    """

    __slots__ = ("_met", "_most", "known")

    def __init__(self, most: int) -> None:
        self._most = most
        self._met: set[int] = set()
        self.known: dict[bytes, Read] = {}
        """By the bytes, the empty line included; look here before `again`."""

    def again(self, block: bytes) -> bool:
        """Whether a block that is not known was met before, and is to be kept."""
        if len(block) > LARGEST:
            return False
        mark = hash(block)
        if mark in self._met:
            return True
        if len(self._met) >= MET:
            self._met.clear()
        self._met.add(mark)
        return False

    def keep(self, block: bytes, read: Read) -> Read:
        """From now on it is known."""
        if len(self.known) >= self._most:
            self.known.clear()
        self.known[block] = read
        return read

    def forget(self) -> None:
        """All of them; what still comes is known again after two messages."""
        self.known.clear()
