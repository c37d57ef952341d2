"""The OpenAPI 3.1 document of mounted routes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from importlib.metadata import version as installed_version
from typing import Final

from pydantic import TypeAdapter

from coffee_core.domain.plan import Plan
from coffee_core.http.openapi.schemas import REF, WHOLE, Schema, Schemas, WireSchema
from coffee_core.http.router import Mount
from coffee_core.rest.route import Parameter, Route

ALWAYS: Final = (400, 500, 503, 504)
"""Problems that any route may end in."""

RETRIED: Final = (429, 503)
"""Those that say when to try again."""

USAGE: Final[Schema] = {
    "UsageCost": {"schema": WHOLE, "description": "What this answer came to; 0 where it was free."},
    "UsageRemaining": {"schema": WHOLE, "description": "What is left in this period."},
    "UsageReset": {
        "schema": {"type": "string", "format": "date-time"},
        "description": "When the count begins anew.",
    },
}
"""Headers of operations whose uses are counted."""

TEXT: Final[Schema] = {"type": "string"}
"""A body that is streamed as it is. Generators ask for a schema."""

_PARAMETER: Final = re.compile(r"\{(\w+)\}")


def document(mounts: Iterable[Mount], *, title: str = "Coffee", plan: Plan | None = None) -> Schema:
    """The description of all `mounts` of services (what is mounted at the root is for machines). With `plan`: only
    what a caller on that plan may use."""
    described = [mount for mount in mounts if mount.service and (plan is None or mount.plan <= plan)]
    schemas = Schemas(described)
    paths = _Paths()
    problems: set[int] = set()
    for mount in described:
        path, renamed = paths.of(mount)
        operation = _operation(mount, schemas, renamed)
        problems |= {int(status) for status in operation["responses"] if int(status) >= 400}
        paths.items.setdefault(path, {})[mount.route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": installed_version("coffee-core")},
        "servers": [{"url": "/", "description": "Where this document was served."}],
        "security": [{"bearer": []}],
        "paths": paths.items,
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "responses": {f"Problem{status}": _problem(status) for status in sorted(problems)},
            "headers": {
                "RequestId": {"schema": {"type": "string", "format": "uuid"}, "description": "Quote it in a report."},
                "ETag": {"schema": {"type": "string"}, "description": "The record's version, for If-Match."},
                "Link": {
                    "schema": {"type": "string"},
                    "description": "RFC 8288: next and prev, and (where pages are asked for by number) first.",
                },
                "Location": {"schema": {"type": "string", "format": "uri-reference"}, "description": "The new record."},
                "RetryAfter": {"schema": {"type": "integer"}, "description": "Seconds."},
                **(USAGE if any(mount.route.metered for mount in described) else {}),
            },
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "tags": [{"name": name} for name in dict.fromkeys(tag for mount in described for tag in _tags(mount))],
    }


class _Paths:
    """Paths that differ only in the names of their parameters are one path in OpenAPI: the first one's names count."""

    def __init__(self) -> None:
        self.items: dict[str, Schema] = {}
        self._spelling: dict[str, str] = {}

    def of(self, mount: Mount) -> tuple[str, dict[str, str]]:
        """The path, and the new names of the mount's parameters."""
        path = self._spelling.setdefault(_PARAMETER.sub("{}", mount.path), mount.path)
        return path, dict(zip(_PARAMETER.findall(mount.path), _PARAMETER.findall(path), strict=True))


def _operation(mount: Mount, schemas: Schemas, renamed: dict[str, str]) -> Schema:
    route = mount.route
    operation: Schema = {
        "operationId": route.name.replace("/", "_"),  # a resource may lie below another; generators make names of it
        "summary": route.summary,
        "tags": _tags(mount),
        "responses": {str(route.status): _success(route, schemas)},
    }
    if route.description:
        operation["description"] = route.description
    parameters = [_parameter(parameter, renamed) for parameter in _parameters(mount)]
    if parameters:
        operation["parameters"] = parameters
    content = {media: {"schema": schemas.taken(route.body) if route.body else TEXT} for media in route.body_media}
    if route.body is not None or route.body_media != ("application/json",):
        operation["requestBody"] = {"required": route.body_required, "content": content}
    statuses = {*ALWAYS, *route.errors}
    if mount.public:
        operation["security"] = []
    else:
        statuses |= {401, 403}
    if mount.plan > Plan.FREE:
        operation["x-coffee-plan"] = mount.plan.name
        statuses.add(402)
    if route.metered is not None:
        own = route.metered.by == "handler"
        operation["x-coffee-metered"] = {"namespace": route.metered.namespace} | (
            {} if own else {"cost": route.metered.cost}
        )
    for status in sorted(statuses):
        operation["responses"][str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    return operation


def _tags(mount: Mount) -> list[str]:
    return list(mount.route.tags) or [mount.service]


def _parameters(mount: Mount) -> list[Parameter]:
    """Those that are declared, and those of the path that are not."""
    declared = list(mount.route.parameters)
    named = {parameter.name for parameter in declared if parameter.where == "path"}
    undeclared = [Parameter(name=name, where="path") for _, name in mount.names if name not in named]
    return undeclared + declared


def _parameter(parameter: Parameter, renamed: dict[str, str]) -> Schema:
    schema: Schema = TypeAdapter(parameter.type).json_schema(schema_generator=WireSchema)
    limits = {
        "enum": list(parameter.enum) or None,
        "default": parameter.default,
        "minimum": parameter.minimum,
        "maximum": parameter.maximum,
    }
    described: Schema = {
        "name": renamed.get(parameter.name, parameter.name) if parameter.where == "path" else parameter.name,
        "in": parameter.where,
        "required": parameter.required or parameter.where == "path",
        "schema": schema | {name: limit for name, limit in limits.items() if limit is not None},
    }
    if parameter.description:
        described["description"] = parameter.description
    return described


def _success(route: Route, schemas: Schemas) -> Schema:
    answer: Schema = {
        "description": HTTPStatus(route.status).phrase,
        "headers": {"x-bb-requestid": {"$ref": "#/components/headers/RequestId"}}
        | {name: {"$ref": f"#/components/headers/{name}"} for name in route.headers},
    }
    if route.metered is not None:
        for name, component in (("cost", "Cost"), ("remaining", "Remaining"), ("reset", "Reset")):
            answer["headers"][f"usage-{name}"] = {"$ref": f"#/components/headers/Usage{component}"}
    if route.data is not None:
        answer["content"] = {"application/json": {"schema": schemas.given(route.data)}}
    elif route.status != 204 and route.answer_media:
        answer["content"] = {route.answer_media: {"schema": TEXT if route.answer_media.startswith("text/") else {}}}
    return answer


def _problem(status: int) -> Schema:
    headers: Schema = {"x-bb-requestid": {"$ref": "#/components/headers/RequestId"}}
    if status in RETRIED:
        headers["retry-after"] = {"$ref": "#/components/headers/RetryAfter"}
    return {
        "description": HTTPStatus(status).phrase,
        "headers": headers,
        "content": {"application/problem+json": {"schema": {"$ref": REF + "Problem"}}},
    }
