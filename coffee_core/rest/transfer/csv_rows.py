"""CSV (RFC 4180) as it arrives: chunks of text in, records with the numbers of their first physical lines out."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import NamedTuple

from coffee_core.domain.errors import InputError

CELL_MAX = 131_072
"""Characters in one cell: the standard library's own bound."""


class Records(NamedTuple):
    """Some records, by place: one object for each would cost as much as reading them."""

    lines: list[int]
    """Where each begins, counted from 1 in physical lines."""
    cells: list[list[str]]


class CsvRows:
    """Fed with text; empty lines are no records. Lines end with LF or CRLF, cells may hold either in quotes.

    Broken quoting is an `InputError`: from there on nothing says where a record begins.
    """

    def __init__(self, record_max: int) -> None:
        self._record_max = record_max
        self._rest = ""
        self._pending: list[str] = []
        self._line = 1

    def feed(self, text: str, *, final: bool = False) -> Records:
        """The records that `text` completes."""
        lines = (self._rest + text).split("\n")
        self._rest = lines.pop()
        self._bound(len(self._rest), self._line + len(self._pending) + len(lines))
        fresh = [line + "\n" for line in lines]
        if final and self._rest:
            fresh.append(self._rest)
            self._rest = ""
        held = [*self._pending, *fresh]
        simple = self._line_by_line(held)
        return self._by_record(held, final=final) if simple is None else simple

    def _line_by_line(self, held: Sequence[str]) -> Records | None:
        """The records, where each is one line; None where one goes over several, or something is wrong."""
        try:
            rows = list(csv.reader(held, strict=True))
        except csv.Error:
            return None
        if len(rows) != len(held):
            return None
        first, self._line, self._pending = self._line, self._line + len(held), []
        if [] not in rows:
            return Records(list(range(first, self._line)), rows)
        return Records([line for line, cells in enumerate(rows, first) if cells], [cells for cells in rows if cells])

    def _by_record(self, held: list[str], *, final: bool) -> Records:
        found = Records([], [])
        source = _Lines(held)
        reader = csv.reader(source, strict=True)
        done = 0
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                self._pending = []
                break
            except csv.Error as error:
                if not source.exhausted:
                    raise self._broken(held, done, reader.line_num, error) from None
                if final:
                    raise InputError(
                        f"line {self._line + done}: a cell's quote is not closed before the end of the file"
                    ) from None
                self._pending = held[done:]
                self._bound(sum(map(len, self._pending)), self._line + done)
                break
            if cells:
                found.lines.append(self._line + done)
                found.cells.append(cells)
            done = reader.line_num
        self._line += done
        return found

    def _bound(self, length: int, line: int) -> None:
        if length > self._record_max:
            raise InputError(
                f"the record of line {line} has more than {self._record_max} characters: is a quote not closed?"
            )

    def _broken(self, held: Sequence[str], done: int, read: int, error: csv.Error) -> InputError:
        line = held[read - 1]
        where = f"line {self._line + read - 1}"
        if read - 1 > done:
            where += f" (in the record of line {self._line + done})"
        if len(line) > CELL_MAX or sum(map(len, held[done:read])) > CELL_MAX:
            return InputError(f"{where}: a cell has more than {CELL_MAX} characters: is a quote not closed?")
        if "\r" in line.rstrip("\r\n"):
            return InputError(f"{where}: a carriage return outside quotes; lines end with LF or CRLF")
        return InputError(f"{where} is not CSV ({error}): a quote inside a quoted cell is written twice")


class _Lines:
    """Remembers whether it was asked for one more line than there is."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = iter(lines)
        self.exhausted = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        try:
            return next(self._lines)
        except StopIteration:
            self.exhausted = True
            raise
