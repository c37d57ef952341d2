"""Filter expressions as they go over the wire: the same tree that a Dao takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coffee_core.domain.search import Condition, FilterType, Node
from coffee_core.rest.filters import path_text


def to_wire(node: Node, names: Mapping[str, str]) -> dict[str, Any]:  # Any: JSON
    """`names` maps field names to wire names."""
    if isinstance(node, Condition):
        field = names.get(node.field, node.field)
        if node.path:
            field += "." + path_text(node.path)
        found: dict[str, Any] = {"filterType": node.type.value, "field": field}
        if node.type not in (FilterType.IS_NULL, FilterType.NOT_NULL):
            found["value"] = list(node.value) if isinstance(node.value, tuple) else node.value
        return found
    if node.op == "not":
        return {"not": to_wire(node.parts[0], names)}
    return {node.op: [to_wire(part, names) for part in node.parts]}
