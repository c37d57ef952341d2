"""`GET /me/entitlements`: what the caller has, so that a client need not find out by being refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias

from coffee_core.domain.context import current
from coffee_core.domain.entry import Entry
from coffee_core.domain.plan import Plan
from coffee_core.metering.meter import Meter
from coffee_core.rest.encoding import EntriesEncoder
from coffee_core.rest.fields import describe
from coffee_core.rest.parameters import parse
from coffee_core.rest.route import Route
from coffee_core.wire.message import Request, Response

Services: TypeAlias = Mapping[str, Sequence[Route]]
"""Routes by service."""

ME: Final = "me"
"""The first segment of its path, as a service has one."""


class Locked(Entry):
    """Something that a larger plan includes."""

    name: str
    plan: str


class OperationEntitlement(Entry):
    """An operation that the caller may use. `record` names what it answers, `filters` the fields it may be filtered by;
    `metered` is what its uses are counted as, `cost` what one comes to (null where only the work itself can tell)."""

    name: str
    method: str
    path: str
    summary: str
    record: str | None
    filters: list[str]
    metered: str | None
    cost: int | None


class RecordEntitlement(Entry):
    """The fields of what is answered; those that are locked are null."""

    name: str
    fields: list[str]
    locked_fields: list[Locked]


class ModuleEntitlements(Entry):
    """What the caller may do at one service."""

    service: str
    operations: list[OperationEntitlement]
    locked_operations: list[Locked]
    records: list[RecordEntitlement]


class UsageEntitlement(Entry):
    """What is left of something that is counted, until `reset`."""

    namespace: str
    limit: int
    consumed: int
    remaining: int
    reset: datetime


class EntitlementsEntry(Entry):
    """All that the caller's plan and contract include. What is counted and not listed in `usage` is not included."""

    plan: str
    modules: list[ModuleEntitlements]
    usage: list[UsageEntitlement]


class Entitlements:
    """Written from the routes and Entries of `here`, and of `elsewhere` (what other processes serve, asked for with the
    first request), as the API description is; usage is asked of the `meter`."""

    def __init__(self, here: Services, meter: Meter | None, *, elsewhere: Callable[[], Services] = dict) -> None:
        self._here = {service: list(routes) for service, routes in here.items()}
        self._elsewhere = elsewhere
        self._meter = meter
        self._services: Services | None = None
        self._modules: dict[Plan, list[ModuleEntitlements]] = {}
        self._encoder = EntriesEncoder(EntitlementsEntry)

    def route(self) -> Route:
        """Below `/me`."""
        return Route(
            method="GET",
            path="/entitlements",
            handler=self.get,
            name="me_entitlements",
            summary="What the caller has: fields, filters and operations of each module, limits and what is left",
            data=EntitlementsEntry,
            plan=Plan.FREE,
            tags=(ME,),
        )

    async def get(self, request: Request) -> Response:
        """GET."""
        parse(request.query, ())
        plan = Plan(current().plan)
        services = self._services
        if services is None:
            services = self._services = {**self._elsewhere(), **self._here}
        modules = self._modules.get(plan)
        if modules is None:
            modules = self._modules[plan] = [_module(*each, plan) for each in sorted(services.items())]
        entry = EntitlementsEntry(plan=plan.name, modules=modules, usage=await self._usage(services))
        return Response(200, self._encoder.envelope(entry), headers=[(b"cache-control", b"no-store")])

    async def _usage(self, services: Services) -> list[UsageEntitlement]:
        found: list[UsageEntitlement] = []
        if self._meter is None:
            return found
        declared = {route.metered.namespace for routes in services.values() for route in routes if route.metered}
        for namespace in dict.fromkeys((*self._meter.namespaces, *sorted(declared))):
            standing = await self._meter.standing(namespace)
            if standing is not None:
                found.append(
                    UsageEntitlement(
                        namespace=namespace,
                        limit=standing.limit,
                        consumed=standing.consumed,
                        remaining=standing.remaining,
                        reset=standing.reset,
                    )
                )
        return found


def _module(service: str, routes: Iterable[Route], plan: Plan) -> ModuleEntitlements:
    routes = [route for route in routes if not route.internal]
    allowed = [route for route in routes if (route.plan or Plan.FREE) <= plan]
    records = dict.fromkeys(route.data for route in allowed if route.data is not None and issubclass(route.data, Entry))
    return ModuleEntitlements(
        service=service,
        operations=[_operation(service, route, plan) for route in allowed],
        locked_operations=[
            Locked(name=route.name, plan=route.plan.name) for route in routes if route.plan and route.plan > plan
        ],
        records=[_record(entry, plan) for entry in records],
    )


def _operation(service: str, route: Route, plan: Plan) -> OperationEntitlement:
    entry = route.data if route.data is not None and issubclass(route.data, Entry) else None
    gates = {} if entry is None else {field.wire: field.plan for field in describe(entry).values()}
    metered = route.metered
    return OperationEntitlement(
        name=route.name,
        method=route.method,
        path=f"/{service}{route.path}",
        summary=route.summary,
        record=None if entry is None else entry.__name__,
        filters=[name for name in route.filters if gates.get(name, Plan.FREE) <= plan],
        metered=None if metered is None else metered.namespace,
        cost=None if metered is None or metered.by == "handler" else metered.cost,
    )


def _record(entry: type[Entry], plan: Plan) -> RecordEntitlement:
    fields = describe(entry).values()
    return RecordEntitlement(
        name=entry.__name__,
        fields=[field.wire for field in fields if field.plan <= plan],
        locked_fields=[Locked(name=field.wire, plan=field.plan.name) for field in fields if field.plan > plan],
    )
