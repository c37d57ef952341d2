"""What an Entry declares about its fields, read once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from coffee_core.domain.entry import Entry, Filterable, ReadOnly, Related, Searchable, camel
from coffee_core.domain.plan import Gated, Plan


class EntryField(NamedTuple):
    """One field. `annotation` is its type with pydantic's constraints, without the metadata of ours."""

    name: str
    wire: str
    plan: Plan
    read_only: bool
    searchable: bool
    required: bool
    annotation: Any  # whatever type the author wrote
    related: Related | None = None


@lru_cache(maxsize=1024)
def describe(entry: type[Entry]) -> Mapping[str, EntryField]:
    """The fields by their Python names, in order."""
    fields: dict[str, EntryField] = {}
    for name, info in entry.model_fields.items():
        related = next((m for m in info.metadata if isinstance(m, Related)), None)
        gate = next((m.plan for m in info.metadata if isinstance(m, Gated)), Plan.FREE)
        fields[name] = EntryField(
            name,
            info.alias or camel(name),
            gate,
            related is not None or any(isinstance(m, ReadOnly) or m is ReadOnly for m in info.metadata),
            any(isinstance(m, Searchable) or m is Searchable for m in info.metadata),
            info.is_required(),
            info.annotation,
            related,
        )
    return fields


def gates_of(entry: type[Entry]) -> dict[str, Plan]:
    """The gated fields and the plan each needs."""
    return {field.name: field.plan for field in describe(entry).values() if field.plan > Plan.FREE}


def searchable_of(entry: type[Entry]) -> tuple[str, ...]:
    """The fields of the free-text search."""
    return tuple(field.name for field in describe(entry).values() if field.searchable)


def filterable_of(entry: type[Entry]) -> tuple[str, ...]:
    """The fields that callers are invited to filter or sort by."""
    return tuple(
        name
        for name, info in entry.model_fields.items()
        if any(isinstance(mark, Filterable) or mark is Filterable for mark in info.metadata)
    )


def has_own_serialization(entry: type[Entry], *, without: Collection[str] = ()) -> bool:
    """Whether only pydantic can write this Entry: serializers, computed fields or nested models, not looking at the
    fields `without`."""
    decorators = entry.__pydantic_decorators__
    if decorators.field_serializers or decorators.model_serializers or decorators.computed_fields:
        return True
    return _nested(entry.__pydantic_core_schema__, entry, without)


def _nested(schema: Any, entry: type[Entry], without: Collection[str] = ()) -> bool:
    """Looks for a function serializer or another model anywhere in a core schema (dicts and lists of pydantic-core)."""
    if isinstance(schema, Mapping):
        kind = schema.get("type")
        if kind in ("function-plain", "function-wrap") and "serialization" in schema:
            return True
        if kind == "model" and schema.get("cls") is not entry:
            return True
        if kind == "definitions":  # what is used is looked at where it is used; the rest belongs to `without`
            return _nested(schema["schema"], entry, without)
        left_out = without if kind == "model-fields" else ()
        if left_out:
            return any(_nested(value, entry) for name, value in schema["fields"].items() if name not in left_out)
        return any(_nested(value, entry, without) for key, value in schema.items() if key not in ("metadata", "ref"))
    if isinstance(schema, list | tuple):
        return any(_nested(value, entry, without) for value in schema)
    return False
