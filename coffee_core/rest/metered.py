"""Routes whose uses are counted: what an answer came to stands in its headers, and can be asked for beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from coffee_core.domain.entry import Entry
from coffee_core.domain.errors import FieldError, InputError
from coffee_core.metering.declare import Metered
from coffee_core.metering.ledger import Charge, Standing
from coffee_core.metering.meter import Meter
from coffee_core.metering.tab import TAB, CostTold, Tab
from coffee_core.persistence.serializable import finish
from coffee_core.persistence.unit_of_work import begin_transaction
from coffee_core.rest import dry_run
from coffee_core.rest.container import Container
from coffee_core.rest.encoding import EntriesEncoder
from coffee_core.rest.route import Parameter, Route
from coffee_core.wire.message import Handler, Request, Response

COST, REMAINING, RESET = b"usage-cost", b"usage-remaining", b"usage-reset"

DRY = b"dryRun=cost"
PARAMETER = Parameter(
    name="dryRun",
    where="query",
    enum=("cost",),
    description="`cost`: tell what the request would cost; nothing is done and nothing is counted.",
)
EMPTY = b'{"data":[],'
"""How an envelope without a record begins."""


class CostEntry(Entry):
    """What a request would cost, and how the caller stands: `reset` is when the count begins anew."""

    namespace: str
    cost: int
    limit: int
    consumed: int
    remaining: int
    reset: datetime


def finished(routes: Iterable[Route], container: Container, repeatable: Callable[[Route], Route]) -> list[Route]:
    """The routes of a module as they are served: counted by the `Meter` that the wiring has met, and repeatable."""
    routes = list(routes)
    if not any(route.metered for route in routes):
        return [repeatable(route) for route in routes]
    metered = MeteredRoutes(container.need(Meter))
    return [metered.route(route, inside=repeatable) for route in routes]


class MeteredRoutes:
    """Wraps the handlers of routes that are declared `metered`; others stay as they are."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._costs = EntriesEncoder(CostEntry)

    def route(self, route: Route, *, inside: Callable[[Route], Route]) -> Route:
        """The route, counted. `inside` makes it repeatable, as every POST that costs something is: a repeated answer is
        not counted again, and asking for the cost uses up no key."""
        metered = route.metered
        if metered is None:
            return inside(route)
        if route.method == "POST":
            route = replace(route, repeatable=True)
        charged = inside(replace(route, handler=self._charging(metered, route.handler)))
        return replace(
            charged,
            handler=self._telling(metered, route.handler, charged.handler),
            parameters=_with_dry_run(charged.parameters),
            errors=tuple(sorted({*charged.errors, 402, 429})),
        )

    def _charging(self, metered: Metered, following: Handler) -> Handler:
        meter = self._meter

        async def by_answer(request: Request) -> Response:
            before = await meter.check(metered.namespace, cost=metered.cost)
            response = await following(request)
            if _is_free(response):
                return _told(response, Charge(0, before.standing))
            return _told(response, await meter.use(metered.namespace, cost=metered.cost))

        async def by_handler(request: Request) -> Response:
            tab = Tab()
            token = TAB.set(tab)
            try:
                response = await following(request)
            finally:
                TAB.reset(token)
            own = [charge for charge in tab.charges if charge.standing.namespace == metered.namespace]
            if not own or _is_free(response):
                return response
            return _told(response, Charge(sum(charge.cost for charge in own), own[-1].standing))

        return by_answer if metered.by == "answer" else by_handler

    def _telling(self, metered: Metered, bare: Handler, following: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            if DRY not in request.query or not _take_dry_run(request):
                return await following(request)
            return self._cost(await self._ask(metered, bare, request))

        return handle

    async def _ask(self, metered: Metered, bare: Handler, request: Request) -> Charge:
        if metered.by == "answer":
            return await self._meter.look(metered.namespace, cost=metered.cost)
        work = begin_transaction()  # what the handler writes before it counts is undone
        token = TAB.set(Tab(dry=True))
        try:
            await bare(request)
        except CostTold as told:
            return told.charge
        finally:
            TAB.reset(token)
            await finish(work.rollback())
        free = await self._meter.look(metered.namespace)
        return Charge(0, free.standing)

    def _cost(self, charge: Charge) -> Response:
        standing = charge.standing
        entry = CostEntry(
            namespace=standing.namespace,
            cost=charge.cost,
            limit=standing.limit,
            consumed=standing.consumed,
            remaining=standing.remaining,
            reset=standing.reset,
        )
        return _told(Response(200, self._costs.envelope(entry)), charge)


def _is_free(response: Response) -> bool:
    """Failed, empty, nothing new, or a rehearsal (`dryRun=true`), which was rolled back with all it had counted."""
    return (
        response.status >= 400
        or response.status == 304
        or response.body.startswith(EMPTY)
        or (dry_run.MARK in response.headers)
    )


def _told(response: Response, charge: Charge) -> Response:
    standing = charge.standing
    response.headers += [
        (COST, b"%d" % charge.cost),
        (REMAINING, b"%d" % standing.remaining),
        (RESET, _wire_time(standing)),
    ]
    return response


def _wire_time(standing: Standing) -> bytes:
    return standing.reset.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()


def _take_dry_run(request: Request) -> bool:
    """Whether the cost is asked for; the handler does not see that parameter."""
    parts = request.query.split(b"&")
    if DRY not in parts:
        return False
    parts.remove(DRY)
    if any(part.startswith(b"dryRun=") for part in parts):
        raise InputError("parameter 'dryRun' is given twice", errors=[FieldError("?dryRun", "is given twice")])
    request.query = b"&".join(parts)
    return True


def _with_dry_run(parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """With `cost` among the values of `dryRun`, whether there were others or not."""
    found = next((each for each in parameters if each.name == "dryRun" and each.where == "query"), None)
    if found is None:
        return (*parameters, PARAMETER)
    merged = replace(
        found,
        type=str,
        enum=(*(found.enum or ("true", "false")), "cost"),
        description=f"{found.description} {PARAMETER.description}".strip(),
    )
    return tuple(merged if each is found else each for each in parameters)
