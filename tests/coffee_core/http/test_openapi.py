"""The API description says what the routes do, and is valid OpenAPI 3.1."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import orjson
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import Field

from coffee_core.domain.entry import Entry, ReadOnly
from coffee_core.domain.plan import Gated, Plan
from coffee_core.http.openapi.document import document
from coffee_core.http.router import Router
from coffee_core.rest.patch import partial_model
from coffee_core.rest.route import Parameter, Route
from tests.coffee_core.http.rig import application, hello, request


class Size(Entry):
    height: int


class ShoeEntry(Entry):
    """A shoe."""

    id: Annotated[int | None, ReadOnly()] = None
    brand_name: str = Field(max_length=80)
    email: Annotated[str | None, Gated(Plan.SAAS)] = None
    price: Annotated[int, Gated(Plan.PAID)] = 0
    sizes: list[Size] = []


def a_route(**more: Any) -> Route:
    given: dict[str, Any] = {
        "method": "GET",
        "path": "/api/shoe",
        "handler": hello,
        "name": "shoes",
        "summary": "Shoes",
    }
    return Route(**(given | more))


MEDIA = ("text/csv", "application/x-ndjson")
SIZE = Parameter(name="size", where="query", type=int, minimum=1, maximum=100, default=50)
ROUTES = [
    a_route(data=ShoeEntry, parameters=(SIZE,)),
    a_route(name="shoe_create", method="POST", body=ShoeEntry, data=ShoeEntry, status=201, errors=(409, 413)),
    a_route(
        name="shoe_get", path="/api/shoe/{id}", data=ShoeEntry, errors=(404,),
        parameters=(Parameter(name="id", where="path", type=uuid.UUID, required=True, description="Its id."),),
    ),
    a_route(name="shoe_delete", path="/api/shoe/{shoeId}", method="DELETE", status=204, plan=Plan.SAAS),
    a_route(name="shoe_shared", path="/api/shoe/byshareid/{shareId}", public=True),
    a_route(name="shoe_import", path="/api/shoe/import", method="POST", body_media=MEDIA),
    a_route(name="shoe_export", path="/api/shoe/export", answer_media="text/csv"),
]  # fmt: skip


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    made = document(Router({"shoe-service": ROUTES, "": [a_route(name="internal", path="/health")]}).mounts)
    parsed: dict[str, Any] = orjson.loads(orjson.dumps(made))
    return parsed


def operation(described: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (
        each for item in described["paths"].values() for each in item.values() if each.get("operationId") == name
    )
    assert isinstance(found, dict)
    return found


def test_it_is_valid(described: dict[str, Any]) -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(described).iter_errors()] == []


def test_it_has_every_route_of_the_services_and_none_for_machines(described: dict[str, Any]) -> None:
    names = {each["operationId"] for item in described["paths"].values() for each in item.values()}
    assert names == {route.name for route in ROUTES}


def test_names_are_those_of_the_wire(described: dict[str, Any]) -> None:
    shoe = described["components"]["schemas"]["ShoeEntryInput"]
    assert set(shoe["properties"]) == {"id", "brandName", "email", "price", "sizes"}
    assert shoe["required"] == ["brandName"]
    assert shoe["additionalProperties"] is False


def test_a_gated_field_names_its_plan_and_may_be_null(described: dict[str, Any]) -> None:
    shoe = described["components"]["schemas"]["ShoeEntry"]
    assert shoe["properties"]["email"]["x-coffee-plan"] == "SAAS"
    assert shoe["properties"]["price"]["x-coffee-plan"] == "PAID"
    assert {"type": "null"} in shoe["properties"]["price"]["anyOf"]
    assert "x-coffee-plan" not in shoe["properties"]["brandName"]
    written = described["components"]["schemas"]["ShoeEntryInput"]["properties"]["price"]
    assert (written["type"], written["format"], written["x-coffee-plan"]) == ("integer", "int64", "PAID")


def test_what_the_server_sets_is_read_only(described: dict[str, Any]) -> None:
    assert described["components"]["schemas"]["ShoeEntry"]["properties"]["id"]["readOnly"] is True


def test_a_record_comes_in_the_envelope(described: dict[str, Any]) -> None:
    content = operation(described, "shoe_get")["responses"]["200"]["content"]["application/json"]
    envelope = described["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    assert set(envelope["properties"]) == {"data", "count", "totalCount", "status"}
    assert envelope["properties"]["data"]["items"]["$ref"].endswith("/ShoeEntry")


def test_every_problem_that_may_come_is_listed(described: dict[str, Any]) -> None:
    created = operation(described, "shoe_create")["responses"]
    assert set(created) == {"201", "400", "401", "403", "409", "413", "500", "503", "504"}
    assert set(operation(described, "shoe_delete")["responses"]) >= {"204", "402"}


def test_only_what_is_public_needs_no_session(described: dict[str, Any]) -> None:
    assert described["security"] == [{"bearer": []}]
    assert operation(described, "shoe_shared")["security"] == []
    assert "401" not in operation(described, "shoe_shared")["responses"]
    assert "security" not in operation(described, "shoe_get")


def test_paths_that_differ_in_a_parameters_name_alone_are_one(described: dict[str, Any]) -> None:
    item = described["paths"]["/shoe-service/api/shoe/{id}"]
    assert set(item) == {"get", "delete"}
    assert [parameter["name"] for parameter in item["delete"]["parameters"]] == ["id"]


def test_parameters_have_their_types_and_limits(described: dict[str, Any]) -> None:
    (size,) = operation(described, "shoes")["parameters"]
    assert size["schema"] == {"type": "integer", "format": "int64", "minimum": 1, "maximum": 100, "default": 50}
    (id,) = operation(described, "shoe_get")["parameters"]
    assert (id["required"], id["schema"]["format"]) == (True, "uuid")


def test_bodies_that_are_no_json_name_their_kinds(described: dict[str, Any]) -> None:
    assert set(operation(described, "shoe_import")["requestBody"]["content"]) == {"text/csv", "application/x-ndjson"}
    assert set(operation(described, "shoe_export")["responses"]["200"]["content"]) == {"text/csv"}
    assert "requestBody" not in operation(described, "shoe_get")


def test_a_plan_sees_what_it_may_use() -> None:
    free = document(Router({"shoe-service": ROUTES}).mounts, plan=Plan.FREE)
    assert set(free["paths"]["/shoe-service/api/shoe/{id}"]) == {"get"}


async def test_it_is_served_once_made(described: dict[str, Any]) -> None:
    app = application(*ROUTES)
    response = await app.handler(request("/openapi.json", headers={}))
    assert response.status == 200
    assert set(orjson.loads(response.body)["components"]["schemas"]) == set(described["components"]["schemas"])
    assert (await app.handler(request("/openapi.json", headers={}))).body is response.body


def test_a_change_has_no_defaults_for_what_it_leaves_out() -> None:
    """Found when null stood as the default of a text, which is no valid description."""
    route = a_route(name="shoe_patch", path="/api/shoe/{id}", method="PATCH", body=partial_model(ShoeEntry))
    described = document(Router({"shoe-service": [route]}).mounts)
    assert [error.message for error in OpenAPIV31SpecValidator(described).iter_errors()] == []
    schema = described["components"]["schemas"]["ShoeEntryPatchInput"]
    assert not schema.get("required")
    assert not any("default" in field for field in schema["properties"].values())
