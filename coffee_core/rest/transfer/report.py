"""What became of an import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from coffee_core.domain.entry import camel


class Refusal(BaseModel):
    """One record that was not stored."""

    line: int
    """Physical line on which the record begins, counted from 1; the header is a line too."""
    reason: str


class ImportAnswer(BaseModel):
    """Every record is in exactly one of created, updated, unchanged and refused; `rows` is their sum."""

    model_config = ConfigDict(alias_generator=camel, populate_by_name=True)

    rows: int
    created: int
    updated: int
    unchanged: int
    refused: int
    refusals: Sequence[Refusal]
    """The first of the refused ones, up to the documented bound."""
    ignored_columns: Sequence[str]
    """Columns of the file that were not read: set by the server, or left out by the mapping."""
    dry_run: bool
    """Whether everything was tried and then rolled back."""


@dataclass(slots=True, kw_only=True)
class ImportReport:
    """The running counts of an import."""

    refusals_max: int
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    ignored_columns: list[str] = field(default_factory=list)
    dry_run: bool = False

    @property
    def rows(self) -> int:
        """Records with an outcome so far."""
        return self.created + self.updated + self.unchanged + self.refused

    def refuse(self, line: int, reason: str) -> None:
        """Count a record that is not stored, and keep the reason if there is room."""
        self.refused += 1
        if len(self.refusals) < self.refusals_max:
            self.refusals.append(Refusal(line=line, reason=reason))

    def answer(self) -> ImportAnswer:
        """As it goes over the wire; refusals by line."""
        return ImportAnswer(
            rows=self.rows,
            created=self.created,
            updated=self.updated,
            unchanged=self.unchanged,
            refused=self.refused,
            refusals=sorted(self.refusals, key=lambda refusal: refusal.line),
            ignored_columns=self.ignored_columns,
            dry_run=self.dry_run,
        )
