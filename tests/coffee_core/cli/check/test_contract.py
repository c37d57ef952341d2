"""Which changes of an API description break a caller, and which do not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

import pytest
from pydantic import Field

from coffee_core.cli.check.contract import breaking
from coffee_core.domain.entry import Entry, ReadOnly
from coffee_core.domain.plan import Gated, Plan
from coffee_core.http.openapi.document import document
from coffee_core.http.router import Router
from coffee_core.rest.route import Parameter, Route
from coffee_core.wire.message import Request, Response

Change: TypeAlias = Callable[[Any], object]


class ShoeEntry(Entry):
    id: Annotated[int | None, ReadOnly()] = None
    name: Annotated[str, Field(max_length=40)]
    size: int | None = None
    email: Annotated[str | None, Gated(Plan.SAAS)] = None
    colours: list[str] = []


async def nothing(_: Request) -> Response:
    return Response(204)


def described() -> Any:
    routes = [
        Route(
            method="POST", path="/api/shoe", handler=nothing, name="shoe_create", summary="", body=ShoeEntry,
            data=ShoeEntry, status=201,
            parameters=(Parameter(name="atomic", where="query", enum=("true", "false"), default="true"),),
        ),
        Route(
            method="GET", path="/api/shoe/{id}", handler=nothing, name="shoe_get", summary="", data=ShoeEntry,
            public=True,
        ),
    ]  # fmt: skip
    return json.loads(json.dumps(document(Router({"s": routes}).mounts)))


POST = "/s/api/shoe"
GET = "/s/api/shoe/{id}"


def schemas(doc: Any) -> Any:
    return doc["components"]["schemas"]


def given(doc: Any) -> Any:
    return schemas(doc)["ShoeEntry"]["properties"]


def sent(doc: Any) -> Any:
    return schemas(doc)["ShoeEntryInput"]["properties"]


def post(doc: Any) -> Any:
    return doc["paths"][POST]["post"]


BREAKING: dict[str, Change] = {
    "is gone: keep it": lambda doc: doc["paths"].pop(GET),
    "needs a session now": lambda doc: doc["paths"][GET]["get"].update(security=[{}]),
    "needs the plan PAID": lambda doc: post(doc).update({"x-coffee-plan": "PAID"}),
    "generated clients change": lambda doc: post(doc).update(operationId="shoe_make"),
    "parameter 'atomic' is gone": lambda doc: post(doc).pop("parameters"),
    "is required now: give it a default": lambda doc: post(doc)["parameters"][0].update(required=True),
    "false is refused now": lambda doc: post(doc)["parameters"][0]["schema"].update(enum=["true"]),
    "new query parameter 'q' is required": lambda doc: post(doc)["parameters"].append(
        {"name": "q", "in": "query", "required": True, "schema": {"type": "string"}}
    ),
    "no longer answers 201": lambda doc: post(doc)["responses"].pop("201"),
    "takes no body any more": lambda doc: post(doc).pop("requestBody"),
    "no longer takes application/json": lambda doc: post(doc)["requestBody"].update(content={}),
    "the field 'size' is gone, and who sends it": lambda doc: sent(doc).pop("size"),
    "the field 'size' is gone": lambda doc: given(doc).pop("size"),
    "the field 'size' is required now": lambda doc: schemas(doc)["ShoeEntryInput"]["required"].append("size"),
    "maxLength is 10 now and was 40": lambda doc: sent(doc)["name"].update(maxLength=10),
    "string may come now": lambda doc: given(doc).update(size={"type": "string"}),
    "null may come now": lambda doc: given(doc).update(name={"type": ["string", "null"]}),
    "null is refused now": lambda doc: sent(doc).update(size={"type": "integer"}),
    "needs the plan SAAS now": lambda doc: given(doc)["size"].update({"x-coffee-plan": "SAAS"}),
    "integer may come now": lambda doc: given(doc)["colours"].update(items={"type": "integer"}),
}  # fmt: skip

HARMLESS: dict[str, Change] = {
    "a new operation": lambda doc: doc["paths"].update({"/s/api/x": doc["paths"][GET]}),
    "a new field of the answer": lambda doc: given(doc).update(x={"type": "string"}),
    "a new field that may be sent": lambda doc: sent(doc).update(x={"type": "string"}),
    "a new parameter that may be left out": lambda doc: post(doc)["parameters"].append(
        {"name": "q", "in": "query", "required": False, "schema": {"type": "string"}}
    ),
    "a wider bound": lambda doc: sent(doc)["name"].update(maxLength=80),
    "another kind of body beside the old": lambda doc: post(doc)["requestBody"]["content"].update(
        {"text/csv": {}}
    ),
    "other words": lambda doc: post(doc).update(summary="Make a shoe"),
    "a smaller plan": lambda doc: given(doc)["email"].pop("x-coffee-plan"),
    "numbers that are whole now": lambda doc: given(doc).update(size={"type": "integer"}),
}  # fmt: skip


@pytest.mark.parametrize("sentence", BREAKING)
def test_a_change_that_breaks_somebody_is_named(sentence: str) -> None:
    old, new = described(), described()
    BREAKING[sentence](new)
    found = breaking(old, new)
    assert len(found) >= 1
    assert any(sentence in one for one in found), found


@pytest.mark.parametrize("what", HARMLESS)
def test_a_change_that_breaks_nobody_is_not(what: str) -> None:
    old, new = described(), described()
    HARMLESS[what](new)
    assert new != old
    assert breaking(old, new) == []


def test_a_description_does_not_break_itself_even_where_a_schema_holds_itself() -> None:
    doc = described()
    given(doc)["parent"] = {"$ref": "#/components/schemas/ShoeEntry"}
    assert breaking(doc, copy.deepcopy(doc)) == []
