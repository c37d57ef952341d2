"""The table remembers the paths that lead somewhere, and no more of them than it has room for."""

from __future__ import annotations

import pytest

from coffee_core.wire.errors import WireError
from gateway.verdict.routes import GATEWAY_ROUTES, LONGEST, PATHS, SERVICE_ROUTES, NoRoute, RouteTable


@pytest.fixture
def table() -> RouteTable:
    return RouteTable([*GATEWAY_ROUTES, *SERVICE_ROUTES])


def test_a_path_that_is_known_means_what_it_meant(table: RouteTable) -> None:
    for path in (b"/cup-service/api/cup/1", b"/cup-service/api/%63up/1", b"/auth/login", b"/me/entitlements"):
        route, canonical = table.route(b"GET", path)
        known = table.known[b"GET", path]
        assert (known.route, known.path) == (route, canonical)
        assert (b"POST", path) not in table.known


def test_what_is_not_there_takes_no_room(table: RouteTable) -> None:
    for path in (b"/nothing", b"/identity-service/api/auth/verify/1", b"/wp-admin/setup.php"):
        assert isinstance(table.route(b"GET", path).route, NoRoute)
    assert isinstance(table.route(b"DELETE", b"/me/entitlements").route, NoRoute)
    with pytest.raises(WireError):
        table.route(b"GET", b"/cup-service/../x")
    assert not table.known


def test_the_paths_known_are_bounded_in_number_and_length(table: RouteTable) -> None:
    for number in range(PATHS + 10):
        table.route(b"GET", b"/cup-service/api/cup/%d" % number)
        assert len(table.known) <= PATHS
    table.known.clear()
    table.route(b"GET", b"/cup-service/" + b"x" * LONGEST)
    assert not table.known
