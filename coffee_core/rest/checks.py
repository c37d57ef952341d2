"""What cannot be right in a Manager is said when it is made, not by its first request."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from coffee_core.domain.entry import Entry
from coffee_core.rest.dao import Dao
from coffee_core.rest.fields import gates_of


def check_gates(entry: type[Entry], dao: Dao[Any, Any]) -> None:
    """A gate that the Entry declares is one that its Dao enforces; else `TypeError`."""
    declared = gates_of(entry)
    missing = {name for name in declared if name in dao.columns} - set(dao.gates)
    if missing:
        raise TypeError(
            f"{entry.__name__} gates {sorted(missing)}, but its Dao does not know: "
            f"Dao(..., gates=gates_of({entry.__name__}))"
        )


def check_mapping(entry: type[Entry], fields: Collection[str], dao: Dao[Any, Any], related: Collection[str]) -> None:
    """Rows that become bytes without an object between have a column for each field; else `TypeError`."""
    strangers = [name for name in fields if name not in dao.columns and name not in related]
    if strangers:
        raise TypeError(
            f"{entry.__name__} has {strangers}, which {dao.entity.__name__} does not store: "
            "override to_entry or enrich to fill them"
        )
