"""NDJSON as it arrives: one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from coffee_core.domain.errors import InputError


class Line(NamedTuple):
    """One line that is not blank."""

    line: int
    text: str


class NdjsonRows:
    """Fed with text. A line that is no JSON object is refused alone: the next one begins after its end."""

    def __init__(self, record_max: int) -> None:
        self._record_max = record_max
        self._rest = ""
        self._line = 1

    def feed(self, text: str, *, final: bool = False) -> Iterator[Line]:
        """The lines that `text` completes."""
        lines = (self._rest + text).split("\n")
        self._rest = "" if final else lines.pop()
        for line in (*lines, self._rest):
            if len(line) > self._record_max:
                raise InputError(f"line {self._line} has more than {self._record_max} characters")
        for line in lines:
            if line.strip():
                yield Line(self._line, line)
            self._line += 1
