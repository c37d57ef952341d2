"""The description of messages says what modules announce and listen to, and is valid AsyncAPI 3.0.

The official schema is of the npm package @asyncapi/specs; it is looked for in the folder that COFFEE_TEST_NODE_MODULES
names. FastStream's models of the standard hold the description everywhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

import modules
from coffee_core.cli.composition import find_modules
from coffee_core.cli.main import main
from coffee_core.domain.event import Event
from coffee_core.domain.plan import Gated, Plan
from coffee_core.messaging.asyncapi import Speaker, document
from coffee_core.messaging.listeners import Listener, OnFailure

TOPIC = "shop.dx___orders_q"


class OrderPlaced(Event):
    """A customer has ordered.

    Not paid yet.
    """

    topic: ClassVar[str] = TOPIC
    type: ClassVar[str] = "order_placed"

    order_id: int
    lines: list[dict[str, Any]] = []
    total_cents: Annotated[int | None, Gated(Plan.SAAS)] = None


class Order(Event):
    topic: ClassVar[str] = TOPIC
    type: ClassVar[str] = "order_placed"

    order_id: int


async def ship(event: Order) -> None:
    """Nothing to do here."""


SHIP = Listener(topic=TOPIC, event=Order, handle=ship, name="shipping.ship", on_failure=OnFailure.DROP)
SPEAKERS = [Speaker(module="shop", events=[OrderPlaced]), Speaker(module="shipping", listeners=[SHIP])]


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(document(SPEAKERS)))
    return made


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `coffee asyncapi` writes of the installed modules."""
    file = tmp_path_factory.mktemp("described") / "asyncapi.json"
    with pytest.raises(SystemExit) as ended:
        main(["asyncapi", "--output", str(file)])
    assert ended.value.code == 0
    made: dict[str, Any] = json.loads(file.read_text())
    return made


def references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


@pytest.mark.parametrize("which", ["described", "platform"])
def test_it_is_what_the_standard_says(which: str, request: pytest.FixtureRequest) -> None:
    made = request.getfixturevalue(which)
    ApplicationSchema.model_validate(made)
    for reference in references(made):
        found: Any = made
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    for schema in made["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.skipif(
    "COFFEE_TEST_NODE_MODULES" not in os.environ,
    reason="COFFEE_TEST_NODE_MODULES names no node_modules with @asyncapi/specs",
)
@pytest.mark.parametrize("which", ["described", "platform"])
def test_the_official_schema_accepts_it(which: str, request: pytest.FixtureRequest) -> None:
    file = Path(os.environ["COFFEE_TEST_NODE_MODULES"]) / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"
    schema = json.loads(file.read_text())
    registry: Registry[Any] = Registry().with_resources(
        (inner["$id"], Resource(inner, DRAFT7)) for inner in schema["definitions"].values() if "$id" in inner
    )
    errors = Draft7Validator(schema, registry=registry).iter_errors(request.getfixturevalue(which))
    assert [error.message[:300] for error in errors] == []


def test_sender_and_listeners_of_a_topic_meet_in_its_channel(described: dict[str, Any]) -> None:
    channel = described["channels"][TOPIC]
    assert channel["address"] == TOPIC
    assert channel["bindings"]["amqp"]["queue"]["name"] == "orders_q"
    assert set(channel["messages"]) == {"shop.OrderPlaced", "shipping.Order"}
    operations = described["operations"]
    assert operations["shop.send.OrderPlaced"]["action"] == "send"
    assert operations["shipping.receive.shipping.ship"]["action"] == "receive"
    assert operations["shipping.receive.shipping.ship"]["x-coffee-on-failure"] == "drop"


def test_a_message_is_described_as_it_travels(described: dict[str, Any]) -> None:
    message = described["components"]["messages"]["shop.OrderPlaced"]
    assert (message["name"], message["summary"]) == ("order_placed", "A customer has ordered.")
    payload = described["components"]["schemas"]["OrderPlaced"]
    assert set(payload["properties"]) == {"orderId", "lines", "totalCents"}
    assert payload["properties"]["totalCents"]["x-coffee-plan"] == "SAAS"
    headers = described["components"]["schemas"]["Headers"]
    assert {"id", "x-bb-requestid", "x-bb-partner-id", "x-bb-plan-type"} <= set(headers["properties"])


def test_one_module_has_one_event_of_a_name() -> None:
    other = type("OrderPlaced", (OrderPlaced,), {})
    with pytest.raises(ValueError, match="two events"):
        document([Speaker(module="shop", events=[OrderPlaced, other])])


def test_every_event_of_the_platforms_modules_is_described(platform: dict[str, Any]) -> None:
    assert find_modules()  # imports them all
    packages = (f"{modules.__name__}.",)
    there = {
        f"{kind.__module__.split('.')[1]}.{kind.__name__}"
        for kind in Event.__subclasses__()
        if kind.__module__.startswith(packages)
    }
    assert there
    assert there - set(platform["components"]["messages"]) == set()
