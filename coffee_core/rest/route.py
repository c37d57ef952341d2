"""One operation of a service: how it is reached, what it takes, gives and needs. OpenAPI is written from this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pydantic import BaseModel

from coffee_core.domain.plan import Plan
from coffee_core.metering.declare import Metered
from coffee_core.wire.message import Handler

Preferences: TypeAlias = Mapping[str, tuple[str, ...]]
"""Names of `Prefer` and the values that each takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A path, query or header parameter. `type` is what its text is read as."""

    name: str
    where: Literal["path", "query", "header"]
    type: type = str
    required: bool = False
    description: str = ""
    enum: tuple[str, ...] = ()
    default: str | int | None = None
    minimum: int | None = None
    maximum: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`path` is below the service: `/api/collection/{id}`. A literal segment wins over a parameter.

    Deny by default: a route that is not `public` refuses a caller without a session before its handler runs, and one
    with a `plan` a caller on a smaller one.
    """

    method: str
    path: str
    handler: Handler
    name: str
    """operationId: unique over all modules, for example `collection_search`."""
    summary: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: type[BaseModel] | None = None
    """Model of the JSON body; None where there is none or where `body_media` says what it is."""
    body_media: tuple[str, ...] = ("application/json",)
    body_required: bool = True
    data: type[BaseModel] | None = None
    """Model of one element of the envelope's `data`; None where the answer is no envelope."""
    answer_media: str = "application/json"
    """Of an answer that is no envelope; empty where it has no body."""
    status: int = 200
    errors: tuple[int, ...] = ()
    """Status codes of problems beyond those that any route may give (400, 401, 503, 504)."""
    headers: tuple[str, ...] = ()
    """Headers of the answer that its caller may need: ETag, Location, Link."""
    preferences: Preferences = field(default_factory=dict)
    """What `Prefer` may ask for here, beside `handling=strict`."""
    public: bool = False
    internal: bool = False
    """Whether the platform's own processes ask it and prove themselves: no caller is told that he may."""
    plan: Plan | None = None
    """The plan it needs. None is FREE too, but by nobody's decision: `coffee check` asks for one."""
    tags: tuple[str, ...] = ()
    repeatable: bool = False
    """Whether it takes an Idempotency-Key: a request sent again is done once and answered alike. For operations that
    write in the unit of work, take a bounded body, and neither take nor answer a secret: a hash of the request and the
    answer are stored."""
    metered: Metered | None = None
    """Whether its uses are counted, and as what: see `coffee_core.metering`."""
    filters: tuple[str, ...] = ()
    """Wire names of the fields that its `filters` know, for who lists what a caller may do."""
