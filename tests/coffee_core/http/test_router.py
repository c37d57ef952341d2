"""Which handler answers, and whom it lets in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.domain.context import CURRENT, RequestContext
from coffee_core.domain.errors import MethodError, NotFoundError, PlanError, UnauthenticatedError
from coffee_core.domain.plan import Plan
from coffee_core.http.router import Router
from coffee_core.wire.message import Handler, Request, Response
from tests.coffee_core.http.rig import request, route


def says(text: str) -> Handler:
    async def handle(_: Request) -> Response:
        return Response(200, text.encode())

    return handle


def a_router() -> Router:
    return Router(
        {
            "x-service": [
                route(says("list"), "/api/x", public=True),
                route(says("create"), "/api/x", method="POST", public=True),
                route(says("one"), "/api/x/{id}", public=True),
                route(says("delete"), "/api/x/{id}", method="DELETE", public=True),
                route(says("search"), "/api/x/search", method="POST", public=True),
                route(says("recent"), "/api/x/recent", public=True),
                route(says("shared"), "/api/x/byshareid/{share}", public=True),
                route(says("items"), "/api/x/{id}/item", method="POST", public=True),
                route(says("of a platform"), "/api/x/{platform}/{code}", public=True),
                route(says("item search"), "/api/x/item/search", method="POST", public=True),
            ],
            "y-service": [route(says("other"), "/api/y", public=True)],
        }
    )


@pytest.mark.parametrize(
    ("method", "path", "says", "parameters"),
    [
        ("GET", "/x-service/api/x", "list", {}),
        ("GET", "/x-service/api/x/", "list", {}),
        ("POST", "/x-service/api/x/", "create", {}),
        ("GET", "/x-service/api/x/12", "one", {"id": "12"}),
        ("GET", "/x-service/api/x/recent", "recent", {}),
        ("POST", "/x-service/api/x/search", "search", {}),
        ("GET", "/x-service/api/x/byshareid/abc", "shared", {"share": "abc"}),
        ("POST", "/x-service/api/x/12/item/", "items", {"id": "12"}),
        ("GET", "/x-service/api/x/youtube/c1", "of a platform", {"platform": "youtube", "code": "c1"}),
        ("POST", "/x-service/api/x/item/search", "item search", {}),
        ("GET", "/x-service/api/x/item/other", "of a platform", {"platform": "item", "code": "other"}),
        ("POST", "/x-service/api/x/recent/item", "items", {"id": "recent"}),
        ("GET", "/y-service/api/y", "other", {}),
    ],
)  # fmt: skip
async def test_the_most_specific_path_answers(method: str, path: str, says: str, parameters: dict[str, str]) -> None:
    asked = request(path, method=method)
    response = await a_router()(asked)
    assert (response.body.decode(), dict(asked.path_params)) == (says, parameters)
    assert asked.route.startswith(f"{method} /")


async def test_the_route_is_the_template_so_that_its_values_are_bounded() -> None:
    asked = request("/x-service/api/x/4711")
    await a_router()(asked)
    assert asked.route == "GET /x-service/api/x/{id}"


@pytest.mark.parametrize(
    "path", ["/", "/x-service", "/x-service/api", "/z-service/api/x", "/x-service/api/x/1/2/3", ""]
)
async def test_a_path_that_leads_nowhere_is_not_found(path: str) -> None:
    asked = request(path)
    with pytest.raises(NotFoundError):
        await a_router()(asked)
    assert asked.route == "unmatched"


async def test_a_method_that_the_path_lacks_is_refused_with_those_it_has() -> None:
    asked = request("/x-service/api/x/12", method="PUT")
    with pytest.raises(MethodError) as refused:
        await a_router()(asked)
    assert refused.value.allowed == ("DELETE", "GET", "HEAD", "OPTIONS")
    assert asked.route == "* /x-service/api/x/{id}"


async def test_a_made_up_method_makes_no_new_route_name() -> None:
    asked = request("/x-service/api/x/12", method="BREW")
    with pytest.raises(MethodError):
        await a_router()(asked)
    assert "BREW" not in asked.route


async def test_head_is_answered_by_get() -> None:
    asked = request("/x-service/api/x/12", method="HEAD")
    assert (await a_router()(asked)).body == b"one"


async def test_options_lists_the_methods() -> None:
    response = await a_router()(request("/x-service/api/x", method="OPTIONS"))
    assert (response.status, dict(response.headers)) == (204, {b"allow": b"GET, HEAD, OPTIONS, POST"})


@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/"), min_size=1))
async def test_whatever_stands_in_a_parameter_arrives_as_it_is(text: str) -> None:
    asked = request(f"/x-service/api/x/byshareid/{text}")
    await a_router()(asked)
    assert asked.path_params == {"share": text}


async def test_a_route_is_closed_unless_it_says_that_it_is_public() -> None:
    router = Router({"x-service": [route(says("secret"), "/api/x")]})
    token = CURRENT.set(RequestContext(request_id="r"))
    try:
        with pytest.raises(UnauthenticatedError):
            await router(request("/x-service/api/x"))
        CURRENT.get().partner_id = 7
        assert (await router(request("/x-service/api/x"))).body == b"secret"
    finally:
        CURRENT.reset(token)


@pytest.mark.parametrize(("plan", "admitted"), [(Plan.FREE, False), (Plan.SAAS, True), (Plan.PAID, True)])
async def test_a_route_with_a_plan_refuses_smaller_ones(plan: Plan, admitted: bool) -> None:
    router = Router({"x-service": [route(says("dear"), "/api/x", plan=Plan.SAAS)]})
    token = CURRENT.set(RequestContext(request_id="r", partner_id=7, plan=plan))
    try:
        if admitted:
            assert (await router(request("/x-service/api/x"))).status == 200
        else:
            with pytest.raises(PlanError, match="SAAS"):
                await router(request("/x-service/api/x"))
    finally:
        CURRENT.reset(token)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(route(says("a"), "/api/x"), route(says("b"), "/api/x/"), id="the same path"),
        pytest.param(route(says("a"), "/api/{a}"), route(says("b"), "/api/{b}"), id="another name for a parameter"),
    ],
)
def test_two_routes_that_cannot_be_told_apart_are_refused_at_the_start(first: object, second: object) -> None:
    with pytest.raises(ValueError, match="clashes"):
        Router({"x-service": [first, second]})  # type: ignore[list-item]


@pytest.mark.parametrize("path", ["api", "/api/{}", "/api/{a", "/api/x{a}", "/api/{a}/{a}", "/api//x"])
def test_a_path_that_is_no_template_is_refused_at_the_start(path: str) -> None:
    with pytest.raises(ValueError, match="x-service"):
        Router({"x-service": [route(says("a"), path)]})


def test_a_name_stands_for_one_route_over_all_services() -> None:
    routes = [route(says("a"), "/api/x")]
    with pytest.raises(ValueError, match="two routes"):
        Router({"x-service": routes, "y-service": routes})


PATTERNS = st.lists(st.sampled_from(["a", "b", "{x}", "{y}"]), min_size=1, max_size=3, unique=True)
PATHS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map(lambda parts: "/s/" + "/".join(parts))


@given(st.lists(PATTERNS, min_size=1, max_size=6), PATHS, st.booleans())
async def test_the_most_specific_of_all_routes_is_found_whatever_routes_there_are(
    patterns: list[list[str]], path: str, slash: bool
) -> None:
    shapes = {tuple(part[0] for part in pattern): "/" + "/".join(pattern) for pattern in patterns}
    routes = [route(says(pattern), pattern, public=True) for pattern in shapes.values()]
    segments = path.split("/")[2:]
    fitting = [
        pattern
        for pattern in shapes.values()
        if len(pattern.split("/")) == len(segments) + 1
        and all(part[0] == "{" or part == given for part, given in zip(pattern.split("/")[1:], segments, strict=True))
    ]
    best = min(fitting, key=lambda pattern: [part[0] == "{" for part in pattern.split("/")[1:]], default=None)
    asked = request(path=path + "/" * slash)
    try:
        answer = await Router({"s": routes})(asked)
    except NotFoundError:
        assert best is None
    else:
        assert answer.body.decode() == best
        names = [part.strip("{}") if part[0] == "{" else "" for part in (best or "").split("/")[1:]]
        assert asked.path_params == {name: given for name, given in zip(names, segments, strict=True) if name}
