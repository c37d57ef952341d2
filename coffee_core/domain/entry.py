"""The Entry: what goes over the wire."""

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict


def camel(name: str) -> str:
    """A Python name as JSON has it: `plays_30d` is `plays30d` (pydantic's own generator writes `plays30D`)."""
    first, *rest = name.split("_")
    return first + "".join([part[:1].upper() + part[1:] for part in rest])


class ReadOnly(NamedTuple):
    """Marks a field that the server sets; a caller who sends it is refused with 400."""


class Related(NamedTuple):
    """Marks a field that is filled from other rows: see `coffee_core.rest.related`. A caller cannot send it.

    It is in an answer if the caller names it (`include=` or `fields=`), or with `always` in every one.
    """

    always: bool = False


class Filterable(NamedTuple):
    """Marks a field that callers are invited to filter or sort by: `coffee check` asks for an index that serves it.

    A field without the mark may be filtered by all the same, at the price of a scan of the partner's rows.
    """


class Searchable(NamedTuple):
    """Marks a text field as part of the free-text search (`q=`).

    Where rows belong to no partner `coffee check` asks for an index of its words.
    """


class Entry(BaseModel):
    """One record as the caller sees it: camelCase on the wire, snake_case here, unknown fields refused.

    Metadata in `Annotated` says the rest: `ReadOnly()`, `Gated(plan)`, `Searchable()`, and pydantic's own constraints.
    """

    model_config = ConfigDict(
        alias_generator=camel, populate_by_name=True, extra="forbid", frozen=False, allow_inf_nan=False
    )
