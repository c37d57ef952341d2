"""The description of messages (AsyncAPI 3.0): what modules announce and what they listen to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import Any, Final, TypeAlias

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from coffee_core.domain.event import Event
from coffee_core.messaging import message
from coffee_core.messaging.gating import event_gates
from coffee_core.messaging.listeners import Listener
from coffee_core.messaging.topic import parse_topic

# JSON has no closed Python type: keys are known by their standard only.
Document: TypeAlias = dict[str, Any]

REF: Final = "#/components/schemas/"

_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]")

HEADERS: Final[Document] = {
    "type": "object",
    "description": "Under the names that HTTP uses, where HTTP has them. A handler runs as this caller.",
    "properties": {
        message.ID: {"type": "string", "format": "uuid", "description": "Each handler takes effect once for each."},
        message.TYPE: {"type": "string", "description": "The kind of fact within the topic."},
        message.KEY: {"type": "string", "description": "Events of one key are relayed in order."},
        message.OCCURRED_AT: {"type": "string", "format": "date-time"},
        message.REQUEST_ID: {"type": "string", "description": "Of the request that it was raised in."},
        message.PARTNER: {"type": "string", "pattern": "^[0-9]+$"},
        message.ACCOUNT: {"type": "string", "pattern": "^[0-9]+$"},
        message.USER: {"type": "string", "pattern": "^[0-9]+$"},
        message.PLAN: {"type": "string", "enum": ["FREE", "SAAS", "PAID"]},
        message.TRACEPARENT: {"type": "string", "description": "W3C Trace Context."},
    },
    "required": [message.ID, message.TYPE, message.OCCURRED_AT],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """A module, as far as messages go."""

    module: str
    events: Sequence[type[Event]] = ()
    """What it announces."""
    listeners: Sequence[Listener] = ()


def document(speakers: Iterable[Speaker], *, title: str = "Coffee") -> Document:
    """One channel for each topic; a `send` for each event that a module announces, a `receive` for each listener."""
    channels: dict[str, Document] = {}
    operations: dict[str, Document] = {}
    events: dict[str, type[Event]] = {}
    for speaker in speakers:
        for event in speaker.events:
            name = _message(speaker.module, event, events)
            channel = _channel(event.topic, name, channels)
            operations[_key(f"{speaker.module}.send.{event.__name__}")] = {
                "action": "send",
                "channel": {"$ref": f"#/channels/{channel}"},
                "summary": f"{speaker.module} announces {event.type}",
                "tags": [{"name": speaker.module}],
                "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"}],
            }
        for listener in speaker.listeners:
            name = _message(speaker.module, listener.event, events)
            channel = _channel(listener.topic, name, channels)
            operations[_key(f"{speaker.module}.receive.{listener.name}")] = {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{channel}"},
                "summary": f"{listener.name} handles {listener.event.type}",
                "tags": [{"name": speaker.module}],
                "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"}],
                "x-coffee-on-failure": listener.on_failure.value,
            }
    schemas, payloads = _schemas(list(dict.fromkeys(events.values())))
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": installed_version("coffee-core")},
        "defaultContentType": "application/json",
        "channels": dict(sorted(channels.items())),
        "operations": dict(sorted(operations.items())),
        "components": {
            "messages": {name: _described(event, payloads[event]) for name, event in sorted(events.items())},
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _message(module: str, event: type[Event], events: dict[str, type[Event]]) -> str:
    """The name of a module's own class for a fact: sender and receiver each have theirs, of the same wire shape."""
    name = _key(f"{module}.{event.__name__}")
    if events.setdefault(name, event) is not event:
        raise ValueError(f"{module} has two events that are called {event.__name__}")
    return name


def _channel(topic: str, name: str, channels: dict[str, Document]) -> str:
    exchange, queue = parse_topic(topic)
    key = _key(topic)
    channel = channels.setdefault(
        key,
        {
            "address": topic,
            "title": topic,
            "description": f"The durable queue {queue} behind the durable exchange {exchange}.",
            "messages": {},
            "bindings": {
                "amqp": {
                    "is": "queue",
                    "queue": {"name": queue, "durable": True, "exclusive": False, "autoDelete": False},
                    "bindingVersion": "0.3.0",
                }
            },
        },
    )
    channel["messages"][name] = {"$ref": f"#/components/messages/{name}"}
    return key


def _described(event: type[Event], payload: Document) -> Document:
    return {
        "name": event.type,
        "title": event.__name__,
        "summary": (event.__doc__ or event.type).strip().splitlines()[0],
        "contentType": "application/json",
        "correlationId": {"location": f"$message.header#/{message.REQUEST_ID}"},
        "headers": {"$ref": REF + "Headers"},
        "payload": payload,
    }


class _Untitled(GenerateJsonSchema):
    """Fields have their names, and no second one."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002  # pydantic's signature
        """No title but one that the event gives."""
        return False


def _schemas(events: Sequence[type[Event]]) -> tuple[Document, dict[type[Event], Document]]:
    """The components, and where in them each event's payload is."""
    asked: list[tuple[type[Event], JsonSchemaMode]] = [(event, "serialization") for event in events]
    refs, found = models_json_schema(asked, ref_template=REF + "{model}", schema_generator=_Untitled)
    schemas: Document = {"Headers": HEADERS, **found.get("$defs", {})}
    payloads = {event: dict(refs[event, "serialization"]) for event in events}
    for event, payload in payloads.items():
        properties = schemas[str(payload["$ref"]).removeprefix(REF)].get("properties", {})
        for field, plan in event_gates(event).items():
            properties[event.model_fields[field].serialization_alias or field]["x-coffee-plan"] = plan.name
    return schemas, payloads


def _key(text: str) -> str:
    """A name as AsyncAPI has them."""
    return _UNFIT.sub("_", text)
