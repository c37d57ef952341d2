"""The generic resource's routes, described."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from coffee_core.domain.entry import Entry
from coffee_core.domain.search import CountMode
from coffee_core.rest.dry_run import dry_runnable
from coffee_core.rest.patch import partial_model
from coffee_core.rest.preferences import COUNT, preferring
from coffee_core.rest.route import Parameter, Route
from coffee_core.rest.transfer.describe import transfer_routes

if TYPE_CHECKING:  # the Api imports this file; only its type is needed here
    from coffee_core.rest.api import Api


class SearchBody(BaseModel):
    """What to look for; filters nest in `{"and": [...]}`, `{"or": [...]}` and `{"not": ...}`."""

    model_config = ConfigDict(extra="forbid")

    filters: list[dict[str, Any]] = Field(
        default_factory=list,
        examples=[[{"filterType": "GTE", "field": "followers", "value": "1000"}]],
        description="All of them hold. Each is {filterType, field, value} or a nested group.",
    )


WRITES = frozenset({"create", "replace", "patch", "delete", "restore", "bulk", "import"})
"""Operations that take `dryRun`."""

ANSWERED = frozenset({"create", "replace", "patch", "restore"})
"""Writes that answer the record."""

FIELDS = Parameter(name="fields", where="query", description="Only these fields, with commas between them.")
IF_MATCH = Parameter(name="If-Match", where="header", description="The ETag that the change is based on.")
IF_NONE_MATCH = Parameter(name="If-None-Match", where="header", description="The ETag that the caller already has.")


def id_parameter(id_type: type) -> Parameter:
    """The `{id}` in a path."""
    return Parameter(name="id", where="path", type=id_type, required=True, description="The record's id.")


def read_parameters(api: Api[Any, Any, Any]) -> tuple[Parameter, ...]:
    """What of a record is answered."""
    if not api.includes:
        return (FIELDS,)
    names = ", ".join([api.manager.fields[name].wire for name in api.manager.relations.declared])
    description = f"These related records too, with commas between them: {names}."
    return (FIELDS, Parameter(name="include", where="query", description=description))


def search_parameters(page_size: int, page_size_max: int) -> tuple[Parameter, ...]:
    """Sorting, paging and counting."""
    return (
        Parameter(name="sortBy", where="query", default="id", description="A field's name."),
        Parameter(name="sortDir", where="query", enum=("ASC", "DESC"), default="ASC"),
        Parameter(name="page", where="query", type=int, minimum=1, default=1, description="The first page is 1."),
        Parameter(name="size", where="query", type=int, minimum=1, maximum=page_size_max, default=page_size),
        Parameter(
            name="cursor", where="query",
            description="`status.nextCursor` of the page before (or that of the `Link` to the page before this one), "
            "instead of page. It holds filters, text and sorting: they may be left out beside it.",
        ),
        Parameter(name="count", where="query", enum=tuple(CountMode), description="How totalCount is found."),
        FIELDS,
        Parameter(name="q", where="query", description="Free text."),
    )  # fmt: skip


def _one(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def crud_routes(api: Api[Any, Any, Any]) -> list[Route]:
    """The routes of the operations that `api` offers; the same for every Entry, so its types do not matter here."""
    name, base = api.resource, f"/api/{api.resource}"
    entry: type[Entry] = api.manager.entry
    by_id = id_parameter(api.id_type)
    one = f"{base}/{{id}}"
    tag = (name,)
    made = {
        "create": Route(
            method="POST", path=base, handler=api.create, name=f"{name}_create", summary=f"Create {_one(name)}",
            body=entry, data=entry, status=201, errors=(402, 409, 413, 415, 422), tags=tag, repeatable=True,
            headers=("Location", "ETag"),
        ),
        "list": Route(
            method="GET", path=base, handler=api.get_many, name=f"{name}_list", summary=f"Read {name} records by id",
            parameters=(
                Parameter(name="ids", where="query", required=True, description="Ids, with commas between."),
                *read_parameters(api),
            ),
            data=entry, tags=tag,
        ),
        "search": Route(
            method="POST", path=f"{base}/search", handler=api.search, name=f"{name}_search",
            summary=f"Search {name} records",
            parameters=(
                *search_parameters(api.settings.page_size, api.settings.page_size_max), *read_parameters(api)[1:],
            ),
            body=SearchBody, body_required=False, data=entry, errors=(402, 413, 415), tags=tag, headers=("Link",),
            preferences=COUNT, filters=tuple(api.filters.wire_names()),
        ),
        "get": Route(
            method="GET", path=one, handler=api.get, name=f"{name}_get", summary=f"Read {_one(name)}",
            parameters=(by_id, *read_parameters(api), IF_NONE_MATCH), data=entry, errors=(402, 404), tags=tag,
            headers=("ETag",),
        ),
        "replace": Route(
            method="PUT", path=one, handler=api.replace, name=f"{name}_replace", summary=f"Replace {_one(name)}",
            parameters=(by_id, IF_MATCH), body=entry, data=entry, errors=(402, 404, 409, 412, 413, 415, 422, 428),
            tags=tag, headers=("ETag",),
        ),
        "patch": Route(
            method="PATCH", path=one, handler=api.patch, name=f"{name}_patch", summary=f"Change {_one(name)}",
            description="JSON Merge Patch (RFC 7396): what is left out stays, null clears.",
            parameters=(by_id, IF_MATCH), body=partial_model(entry),
            body_media=("application/merge-patch+json", "application/json"),
            data=entry, errors=(402, 404, 409, 412, 413, 415, 422, 428), tags=tag, headers=("ETag",),
        ),
        "delete": Route(
            method="DELETE", path=one, handler=api.delete, name=f"{name}_delete", summary=f"Delete {_one(name)}",
            parameters=(by_id, IF_MATCH), status=204, errors=(404, 409, 412, 428), tags=tag,
        ),
        "restore": Route(
            method="POST", path=f"{one}/restore", handler=api.restore, name=f"{name}_restore",
            summary=f"Bring back a deleted {name}", parameters=(by_id,), data=entry, errors=(404, 409), tags=tag,
            repeatable=True, headers=("ETag",),
        ),
    }  # fmt: skip
    every = {operation: [route] for operation, route in made.items()} | transfer_routes(api, SearchBody)
    return [
        _decided(api, operation, route)
        for operation, routes in every.items()
        if operation in api.operations
        for route in routes
    ]


def _decided(api: Api[Any, Any, Any], operation: Any, route: Route) -> Route:
    """The route with who may use it; a write can be tried."""
    if operation in WRITES:
        route = dry_runnable(route)
    if operation in ANSWERED:
        route = preferring(route)
    return replace(
        route,
        public=operation in api.options.public,
        plan=api.options.plans.get(operation, api.options.plan if route.plan is None else route.plan),
        metered=api.options.metered.get(operation, route.metered),
    )
