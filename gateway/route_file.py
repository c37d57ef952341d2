"""Routes of an installation's own, from a JSON file: they stand before the built-in ones.

`{"aliases": {"/me": "/partner-usage-service/api/me"}, "routes": [{"name": "reports", "upstream": "saas", "pattern":
"/report-service/api/**", "access": "session", "methods": ["GET"], "plan": "SAAS"}]}`; only `name`, `pattern` and
`upstream` must be there. A route may have a `timeout` in seconds, the `networks` that alone may take it (others are
refused: 403), and name `limits` of the file. Each has a name of its own. One that names GET takes HEAD as well; what it
does not name is left to the built-in table:

`{"limits": [{"name": "reports", "per": "partner", "amount": 60, "seconds": 60, "kind": "window",
"plans": {"PAID": 600}}], "routes": [{..., "limits": ["reports"], "timeout": 5}]}`

`per` is `address`, `user`, `partner`, `plan` or `route` (see `gateway.verdict.quota.Per`), `kind` is `bucket` (the
default) or `window`, and `plans` gives plans an amount of their own. Routes that name the same limit share its count.
Nothing else may be in the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, ValidationError, model_validator

from coffee_core.domain.errors import CoffeeError
from coffee_core.domain.plan import Plan
from gateway.verdict.forwarding import Network
from gateway.verdict.quota import Kind, Quota
from gateway.verdict.routes import ALIASES, GATEWAY_ROUTES, SERVICE_ROUTES, Access, Route, RouteTable

Alias = Annotated[str, Field(pattern=r"^/[A-Za-z0-9_\-]+$")]
"""One segment."""
Real = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_.\-]+)+$")]


class RouteEntry(BaseModel):
    """One route, as `gateway.verdict.routes.Route` describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9\-]+$")]
    pattern: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_.*\-]+)+$")]
    upstream: Literal["saas", "saas-data", "identity"]
    access: Literal["closed", "public", "optional", "session", "operator"] = "session"
    methods: list[Annotated[str, Field(pattern=r"^[A-Z]+$")]] = []
    plan: Literal["FREE", "SAAS", "PAID"] = "FREE"
    limits: list[str] = []
    networks: list[IPvAnyNetwork] = []
    timeout: Annotated[float, Field(gt=0)] | None = None

    def route(self) -> Route:
        """Ready for the table."""
        methods = frozenset(method.encode() for method in self.methods)
        if b"GET" in methods:
            methods |= {b"HEAD"}  # modules answer it as GET: no other route may take it past this one
        return Route(
            self.name,
            self.pattern,
            self.upstream,
            Access(self.access),
            methods,
            Plan[self.plan],
            limits=tuple(self.limits),
            timeout=self.timeout or 0.0,
        )


class LimitEntry(BaseModel):
    """One limit, as `gateway.verdict.quota.Quota` describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9\-]+$")]
    per: Literal["address", "user", "partner", "plan", "route"]
    amount: Annotated[int, Field(ge=1)]
    seconds: Annotated[float, Field(gt=0, le=86_400)]
    kind: Literal["bucket", "window"] = "bucket"
    plans: dict[Literal["FREE", "SAAS", "PAID"], Annotated[int, Field(ge=1)]] = {}

    def quota(self, plan: Plan) -> Quota:
        """That of a plan."""
        amounts = {Plan[name]: amount for name, amount in self.plans.items()}
        return Quota(self.name, amounts.get(plan, self.amount), self.seconds, Kind(self.kind))


class RouteFile(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    aliases: dict[Alias, Real] = {}
    routes: list[RouteEntry] = []
    limits: list[LimitEntry] = []

    @model_validator(mode="after")
    def _limits_are_there(self) -> RouteFile:
        names = [limit.name for limit in self.limits]
        twice = {name for name in names if names.count(name) > 1} | ({"address", "partner"} & set(names))
        missing = {name for route in self.routes for name in route.limits} - set(names)
        told = [f"two limits have the name `{name}`" for name in sorted(twice)]
        told += [f"a route names the limit `{name}`, which is not there" for name in sorted(missing)]
        if told:
            raise ValueError("; ".join(told))
        return self

    @model_validator(mode="after")
    def _names_are_one_route_each(self) -> RouteFile:
        """Networks, counts, caches and metrics know a route by its name."""
        names = [*(route.name for route in self.routes), *(route.name for route in (*GATEWAY_ROUTES, *SERVICE_ROUTES))]
        twice = sorted({route.name for route in self.routes if names.count(route.name) > 1})
        if twice:
            raise ValueError("; ".join(f"another route has the name `{name}`: choose a new one" for name in twice))
        return self


class Configured(NamedTuple):
    """What the file and the built-in table say together."""

    routes: RouteTable
    limits: Sequence[LimitEntry]
    networks: Mapping[str, Sequence[Network]]
    """Of routes that only some may take."""


def read_routes(path: Path | None) -> Configured:
    """The built-in table, with the file's routes before it. It can neither take away the gateway's own routes nor open
    what is closed.

    A file that is not there or not right is a `CoffeeError` that says every mistake.
    """
    extra = RouteFile()
    if path is not None:
        try:
            extra = RouteFile.model_validate_json(path.read_bytes())
        except OSError as error:
            raise CoffeeError(f"COFFEE_GATEWAY_ROUTES_FILE: {path}: {error.strerror}") from None
        except ValidationError as error:
            mistakes = error.errors(include_url=False, include_context=False)
            told = [f"{'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}" for each in mistakes]
            raise CoffeeError("\n".join(f"COFFEE_GATEWAY_ROUTES_FILE: {line}" for line in told)) from None
    aliases = {name.encode(): real.encode() for name, real in extra.aliases.items()}
    closed = [route for route in SERVICE_ROUTES if route.access is Access.CLOSED]
    routes = (*GATEWAY_ROUTES, *closed, *(entry.route() for entry in extra.routes), *SERVICE_ROUTES)
    networks = {entry.name: entry.networks for entry in extra.routes if entry.networks}
    return Configured(RouteTable(routes, {**aliases, **ALIASES}), extra.limits, networks)
