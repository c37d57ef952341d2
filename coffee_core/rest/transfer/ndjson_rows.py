"""NDJSON as it arrives: one JSON object a line."""

from __future__ import annotations

from typing import NamedTuple

from coffee_core.domain.errors import InputError


class Lines(NamedTuple):
    """Those that are not blank, by place."""

    numbers: list[int]
    """Counted from 1."""
    texts: list[str]


class NdjsonRows:
    """Fed with text. A line that is no JSON object is refused alone: the next one begins after its end."""

    def __init__(self, record_max: int) -> None:
        self._record_max = record_max
        self._rest = ""
        self._line = 1

    def feed(self, text: str, *, final: bool = False) -> Lines:
        """The lines that `text` completes."""
        lines = (self._rest + text).split("\n")
        self._rest = "" if final else lines.pop()
        sizes = [*map(len, lines), len(self._rest)]
        if max(sizes) > self._record_max:
            line = next(line for line, size in enumerate(sizes, self._line) if size > self._record_max)
            raise InputError(f"line {line} has more than {self._record_max} characters")
        first, self._line = self._line, self._line + len(lines)
        filled = [(number, line) for number, line in enumerate(lines, first) if line.strip()]
        return Lines([number for number, _ in filled], [line for _, line in filled])
