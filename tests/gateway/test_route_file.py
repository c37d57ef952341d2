"""Routes of an installation's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coffee_core.domain.errors import CoffeeError
from gateway.route_file import read_routes
from gateway.verdict.routes import NoRoute, Route
from tests.gateway.verdict import rig
from tests.gateway.verdict.rig import Identity, User, forwarded, refused, request

REPORTS = {"name": "reports", "pattern": "/report-service/api/**", "upstream": "saas-data", "plan": "SAAS"}


def written(folder: Path, content: Any) -> Path:
    path = folder / "routes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


async def test_a_route_may_need_a_plan_and_an_alias_may_name_it(tmp_path: Path) -> None:
    content = {
        "aliases": {"/reports": "/report-service/api"},
        "routes": [
            REPORTS,
            {"name": "open", "pattern": "/open-service/**", "upstream": "saas", "access": "public", "methods": ["GET"]},
        ],
    }
    async with Identity.serve() as identity:
        config = rig.settings(identity, None, routes_file=written(tmp_path, content))
        async with rig.running(config) as built:
            for target in (b"/report-service/api/1", b"/reports/1"):
                forward = await forwarded(built, request(target, User(identity, "SAAS").bearer()))
                assert (forward.passage.upstream, forward.target) == ("saas-data", b"/report-service/api/1")
                refusal = await refused(built, request(target, User(identity, "FREE").bearer()), 402)
                assert "SAAS" in refusal.detail
            assert (await forwarded(built, request(b"/open-service/x"))).passage.partner == b""
            await refused(built, request(b"/open-service/x", method=b"POST"), 401)
            await refused(built, request(b"/auth/verify?sid=x"), 404)


def test_no_file_opens_what_is_closed_or_takes_the_gateways_own_routes(tmp_path: Path) -> None:
    everything = [
        {"name": f"all-{number}", "pattern": pattern, "upstream": "saas", "access": "public"}
        for number, pattern in enumerate(("/identity-service/**", "/health/**", "/metrics"))
    ]
    table = read_routes(written(tmp_path, {"routes": everything, "aliases": {"/auth": "/open-service"}})).routes
    for path in (b"/identity-service/api/auth/verify", b"/auth/verify", b"/identity-service/api/partners/1/plan"):
        assert isinstance(table.find(b"GET", path)[0], NoRoute)
    for path in (b"/health/live", b"/metrics"):
        route, _ = table.find(b"GET", path)
        assert isinstance(route, Route)
        assert route.upstream == ""


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("{", id="no JSON"),
        pytest.param({"rotues": []}, id="a member that is none"),
        pytest.param({"routes": [REPORTS | {"upstream": "elsewhere"}]}, id="an upstream that is none"),
        pytest.param({"routes": [REPORTS | {"access": "everyone"}]}, id="an access that is none"),
        pytest.param({"routes": [REPORTS | {"pattern": "report-service"}]}, id="a pattern that is no path"),
        pytest.param({"aliases": {"/a/b": "/c"}}, id="an alias of two segments"),
    ],
)
def test_a_file_that_is_not_right_stops_the_start(tmp_path: Path, content: Any) -> None:
    with pytest.raises(CoffeeError, match="COFFEE_GATEWAY_ROUTES_FILE"):
        read_routes(written(tmp_path, content))


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(CoffeeError, match="No such file"):
        read_routes(tmp_path / "none.json")


async def test_head_takes_no_way_past_a_route_that_names_get(tmp_path: Path) -> None:
    """A module answers it as GET."""
    route = {"name": "admin", "pattern": "/admin-service/**", "upstream": "saas", "methods": ["GET"]}
    only = {"access": "operator", "plan": "PAID", "networks": ["10.0.0.0/8"]}
    async with Identity.serve() as identity:
        config = rig.settings(identity, None, routes_file=written(tmp_path, {"routes": [route | only]}))
        async with rig.running(config) as built:
            for method in (b"GET", b"HEAD"):
                head = request(b"/admin-service/x", User(identity, "FREE").bearer(), method=method)
                assert (await refused(built, head, 403)).route == "admin"


@pytest.mark.parametrize("names", [["reports", "reports"], ["service"], ["health"]])
def test_a_name_is_one_routes(tmp_path: Path, names: list[str]) -> None:
    """Networks and counts are kept by it: those of one route would be the other's."""
    routes = [{"name": name, "pattern": f"/r{n}-service/**", "upstream": "saas"} for n, name in enumerate(names)]
    with pytest.raises(CoffeeError, match=f"another route has the name `{names[0]}`"):
        read_routes(written(tmp_path, {"routes": routes}))
