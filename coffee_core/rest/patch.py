"""A partial Entry: unset, null and value kept apart (JSON Merge Patch, RFC 7396)."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Any, Generic, cast

from pydantic import create_model

from coffee_core.domain.entry import Entry
from coffee_core.domain.ids import EntryT


class Patch(Generic[EntryT]):
    """`values` holds what the caller set, by field name; None means null. What is not in it stays as it is."""

    __slots__ = ("entry", "values")

    def __init__(self, entry: type[EntryT], values: dict[str, object]) -> None:
        self.entry = entry
        self.values = values


@lru_cache(maxsize=1024)
def partial_model(entry: type[Entry]) -> type[Entry]:
    """The Entry with every field optional: its field validators and constraints hold for what is there.

    Validators of the whole model do not run on a part: a Manager that needs them checks the merged record.
    """
    fields: dict[str, Any] = {}
    for name, info in entry.model_fields.items():
        optional = copy.copy(info)
        optional.default = None
        optional.default_factory = None
        optional.validate_default = False
        fields[name] = (info.annotation, optional)
    bare = create_model(f"{entry.__name__}Patch", __base__=entry, __module__=entry.__module__, **fields)
    bare.__pydantic_decorators__.model_validators = {}
    bare.model_config["json_schema_extra"] = _without_defaults
    bare.model_rebuild(force=True)
    return cast("type[Entry]", bare)


def _without_defaults(schema: dict[str, Any]) -> None:
    """What a change leaves out stays as it is: no default takes its place, and null is not one for every type."""
    for described in schema.get("properties", {}).values():
        described.pop("default", None)
