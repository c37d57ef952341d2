"""Schemas of what goes over the wire: pydantic's, with what Coffee's own metadata adds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core.core_schema import IntSchema

from coffee_core.domain.entry import Entry
from coffee_core.domain.plan import Plan
from coffee_core.http.router import Mount
from coffee_core.rest.fields import describe

# JSON Schema has no closed Python type: keys are known by their standard only.
Schema: TypeAlias = dict[str, Any]

REF: Final = "#/components/schemas/"

ENVELOPE: Final[Schema] = {
    "Status": {
        "type": "object",
        "properties": {
            "status": {"type": "string", "const": "SUCCESS"},
            "message": {"type": "string"},
            "nextCursor": {"type": ["string", "null"], "description": "Where the next page begins; absent at the end."},
            "lockedFields": {
                "type": ["array", "null"],
                "items": {"type": "string"},
                "description": "Fields that are null because the caller's plan does not include them.",
            },
        },
        "required": ["status", "message"],
    },
    "Problem": {
        "type": "object",
        "description": "RFC 9457, application/problem+json.",
        "properties": {
            "type": {"type": "string", "format": "uri-reference", "description": "Names the kind of problem."},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What was wrong here, and what would be right."},
            "instance": {"type": "string", "format": "uri-reference"},
            "requestId": {"type": "string", "format": "uuid"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "pointer": {
                            "type": "string",
                            "description": "JSON pointer into the body (RFC 6901), or `?name` for a query parameter.",
                        },
                        "detail": {"type": "string"},
                    },
                    "required": ["pointer", "detail"],
                },
            },
            "statusMessage": {"type": "string"},
        },
        "required": ["type", "title", "status", "detail", "instance", "requestId", "errors", "statusMessage"],
    },
}


WHOLE: Final[Schema] = {"type": "integer", "format": "int64"}
"""A whole number. Without the format generators take one of 32 bits, into which an id does not fit."""


class WireSchema(GenerateJsonSchema):
    """Fields have their names, and no second one; whole numbers have 63 bits."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002  # pydantic's signature
        """No title but one that the Entry gives."""
        return False

    def int_schema(self, schema: IntSchema) -> Schema:
        """As `WHOLE`, with the field's bounds."""
        return super().int_schema(schema) | WHOLE


class Schemas:
    """The schemas of all models that some routes name. What is taken in and what is given out differ (a locked field is
    null, a read-only one is refused), and so do their names: `ShoeEntryInput`, `ShoeEntry`."""

    def __init__(self, mounts: Iterable[Mount]) -> None:
        routes = [mount.route for mount in mounts]
        self.components: Schema = dict(ENVELOPE)
        self._taken = self._add([route.body for route in routes if route.body is not None], "validation", "Input")
        self._given = self._add([route.data for route in routes if route.data is not None], "serialization", "")

    def taken(self, model: type[BaseModel]) -> Schema:
        """The schema of a request's body."""
        return {"$ref": REF + self._taken[model]}

    def given(self, model: type[BaseModel]) -> Schema:
        """The schema of an envelope with records of this model."""
        record = self._given[model]
        self.components[f"{record}Envelope"] = {
            "type": "object",
            "properties": {
                "data": {"type": "array", "items": {"$ref": REF + record}},
                "count": {**WHOLE, "description": "Records in `data`."},
                "totalCount": {
                    "type": ["integer", "null"],
                    "format": "int64",
                    "description": "All that match; null where the caller asked for no count.",
                },
                "status": {"$ref": REF + "Status"},
            },
            "required": ["data", "count", "totalCount", "status"],
        }
        return {"$ref": f"{REF}{record}Envelope"}

    def _add(self, models: Iterable[type[BaseModel]], mode: JsonSchemaMode, suffix: str) -> dict[type[BaseModel], str]:
        """Adds their schemas to the components; the name of each."""
        asked: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, mode) for model in dict.fromkeys(models)]
        refs, definitions = models_json_schema(
            asked, ref_template=f"{REF}{{model}}{suffix}", schema_generator=WireSchema
        )
        for name, schema in definitions.get("$defs", {}).items():  # generators name classes by the title
            self.components[f"{name}{suffix}"] = schema | {"title": f"{name}{suffix}"}
        names = {model: str(refs[model, mode]["$ref"]).removeprefix(REF) for model, mode in asked}
        for model, name in names.items():
            if issubclass(model, Entry):
                _annotate(self.components[name], model, mode)
        return names


def _annotate(schema: Schema, entry: type[Entry], mode: JsonSchemaMode) -> None:
    """Add what pydantic does not know: who may see a field, and that the server sets it."""
    properties: Schema = schema.get("properties", {})
    for field in describe(entry).values():
        if field.wire not in properties:
            continue
        found: Schema = properties[field.wire]
        if field.read_only:
            found["readOnly"] = True
            if mode == "validation" and field.wire in schema.get("required", ()):
                schema["required"].remove(field.wire)
        if field.plan > Plan.FREE:
            if mode == "serialization":
                found = properties[field.wire] = _nullable(found)
            found["x-coffee-plan"] = field.plan.name


def _nullable(schema: Schema) -> Schema:
    """A locked field is null, whatever its type."""
    choices = schema.get("anyOf", [])
    if {"type": "null"} in choices or schema.get("type") == "null":
        return schema
    about: Schema = {name: schema.pop(name) for name in ("title", "description", "readOnly") if name in schema}
    return {"anyOf": [schema, {"type": "null"}], **about}
