"""Column mappings: how the file of somebody else becomes records of ours, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from coffee_core.domain.errors import FieldError, InputError
from coffee_core.rest.transfer.readers import Reader


class Derived(NamedTuple):
    """A field made of several columns: `read` takes their cells in the order of `sources`."""

    sources: tuple[str, ...]
    read: Callable[..., object]  # takes as many texts as there are sources


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportMapping:
    """A known layout. Every column of the file must be named here, and every column named here must be in the file:
    a layout that has changed is refused, not half understood."""

    name: str
    columns: Mapping[str, tuple[str, Reader]]
    """Source column -> field (Python name) and reader."""
    derived: Mapping[str, Derived] = field(default_factory=dict)
    """Field (Python name) -> how it is made."""
    ignored: Sequence[str] = ()
    """Source columns that are not read."""
    description: str = ""

    def fields(self) -> list[str]:
        """The fields that this mapping fills."""
        return [*(name for name, _ in self.columns.values()), *self.derived]


def find_mapping(mappings: Sequence[ImportMapping], name: str) -> ImportMapping:
    """The mapping of that name; `InputError` names those there are."""
    for mapping in mappings:
        if mapping.name == name:
            return mapping
    there = ", ".join(mapping.name for mapping in mappings) or "none"
    detail = f"knows no {name[:100]!r}; there are: {there}"
    raise InputError(f"parameter 'mapping' {detail}", errors=[FieldError("?mapping", detail)])
