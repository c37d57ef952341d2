"""A caller is told what he has, and not found out by being refused."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
import pytest

from coffee_core.domain.entry import Entry
from coffee_core.domain.plan import Gated, Plan
from coffee_core.http.application import Application
from coffee_core.http.entitlements import ME, Entitlements
from coffee_core.metering.declare import Metered
from coffee_core.metering.grants import FixedGrants
from coffee_core.metering.memory import MemoryLedger
from coffee_core.metering.meter import Meter
from coffee_core.rest.route import Route
from coffee_core.wire.message import BufferedBody, Request, Response
from tests.coffee_core.http.rig import SETTINGS, problem


class ShoeEntry(Entry):
    size: int
    owner: Annotated[str | None, Gated(Plan.SAAS)] = None


async def nothing(_: Request) -> Response:
    return Response(204)


def shoe_route(name: str, **more: Any) -> Route:
    return Route(method="POST", path=f"/api/shoe/{name}", handler=nothing, name=name, summary=name, **more)


SHOES = [
    shoe_route("search", data=ShoeEntry, filters=("size", "owner"), metered=Metered("DISCOVERY", cost=2)),
    shoe_route("report", plan=Plan.PAID),
    shoe_route("page", metered=Metered("PROFILE_PAGE", by="handler")),
    shoe_route("verify", public=True, internal=True),
]


@pytest.fixture
def application() -> Application:
    meter = Meter(MemoryLedger(), FixedGrants({"DISCOVERY": 9, "ACCOUNT_TRACKING": 1}), namespaces=["ACCOUNT_TRACKING"])
    elsewhere = {"hat-service": [shoe_route("hat")]}
    told = Entitlements({"shoe-service": SHOES}, meter, elsewhere=lambda: elsewhere)
    return Application({"shoe-service": SHOES, ME: [told.route()]}, settings=SETTINGS)


async def asked(application: Application, plan: str, query: bytes = b"") -> Response:
    headers = {b"x-bb-partner-id": b"7", b"x-bb-uid": b"9", b"x-bb-plan-type": plan.encode()} if plan else {}
    return await application.handler(Request("GET", "/me/entitlements", query, headers, BufferedBody()))


async def told(application: Application, plan: str) -> dict[str, Any]:
    record: dict[str, Any] = orjson.loads((await asked(application, plan)).body)["data"][0]
    return record


async def test_operations_fields_and_filters_are_those_of_the_plan(application: Application) -> None:
    free, saas = await told(application, "FREE"), await told(application, "SAAS")
    assert [each["service"] for each in free["modules"]] == ["hat-service", "shoe-service"]
    shoes = free["modules"][1]
    assert [each["name"] for each in shoes["operations"]] == ["search", "page"]
    assert shoes["lockedOperations"] == [{"name": "report", "plan": "PAID"}]
    assert shoes["operations"][0] == {
        "name": "search", "method": "POST", "path": "/shoe-service/api/shoe/search", "summary": "search",
        "record": "ShoeEntry", "filters": ["size"], "metered": "DISCOVERY", "cost": 2,
    }  # fmt: skip
    assert (shoes["operations"][1]["metered"], shoes["operations"][1]["cost"]) == ("PROFILE_PAGE", None)
    locked = [{"name": "owner", "plan": "SAAS"}]
    assert shoes["records"] == [{"name": "ShoeEntry", "fields": ["size"], "lockedFields": locked}]
    bought = saas["modules"][1]
    assert bought["operations"][0]["filters"] == ["size", "owner"]
    assert bought["records"] == [{"name": "ShoeEntry", "fields": ["size", "owner"], "lockedFields": []}]


async def test_what_is_counted_is_told_whether_an_operation_counts_it_or_not(application: Application) -> None:
    usage = (await told(application, "FREE"))["usage"]
    assert [(each["namespace"], each["limit"], each["consumed"], each["remaining"]) for each in usage] == [
        ("ACCOUNT_TRACKING", 1, 0, 1),
        ("DISCOVERY", 9, 0, 9),  # and PROFILE_PAGE was not bought
    ]
    assert all(each["reset"].endswith("-01T00:00:00Z") for each in usage)


async def test_it_needs_a_session_and_takes_no_parameters(application: Application) -> None:
    assert (await asked(application, "")).status == 401
    refused = await asked(application, "FREE", b"plan=PAID")
    assert (refused.status, problem(refused)["errors"][0]["pointer"]) == (400, "?plan")
