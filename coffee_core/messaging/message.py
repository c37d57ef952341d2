"""A message as it travels: a JSON body, and headers that carry the request context of whoever raised it."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

from msgspec import Struct
from uuid_utils import uuid7

from coffee_core.domain.context import RequestContext
from coffee_core.domain.event import Event
from coffee_core.domain.plan import PLAN_NAMES, Plan
from coffee_core.messaging.errors import MalformedMessageError
from coffee_core.messaging.gating import event_gates, masked
from coffee_core.messaging.topic import Topic, parse_topic

ID = "id"
TYPE = "type"
KEY = "key"
OCCURRED_AT = "occurred_at"
REQUEST_ID = "x-bb-requestid"
PARTNER = "x-bb-partner-id"
ACCOUNT = "x-bb-account-id"
USER = "x-bb-uid"
PLAN = "x-bb-plan-type"
TRACEPARENT = "traceparent"
HEADERS = frozenset({ID, TYPE, KEY, OCCURRED_AT, REQUEST_ID, PARTNER, ACCOUNT, USER, PLAN, TRACEPARENT})
"""All that a message carries; others, which brokers and their clients add, are not ours."""

HEADERS_MOST = 4096
"""Bytes that the headers of a message of ours take at most, without its key."""

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_VISIBLE = re.compile(r"[\x20-\x7e]{0,512}")


class Source(Struct, frozen=True, gc=False):
    """When, by whom and in which request something was raised: what its headers say beside id, type and key."""

    at: int
    """Nanoseconds since the epoch."""
    request_id: str
    partner_id: int | None
    account_id: int | None
    user_id: int | None
    plan: Plan
    traceparent: str


class Message(Struct, frozen=True, gc=False):
    """One message; `body` is the event as JSON. `source` is where its headers come from: those of one that arrived, or
    what is to be written into those of one that is raised here."""

    topic: Topic
    id: str
    """A UUID in its canonical spelling, as in the header."""
    type: str
    source: Source | Mapping[str, str]
    body: bytes
    key: str = ""

    @property
    def headers(self) -> Mapping[str, str]:
        """What it is sent with, and what `read_context` reads. They are written for each who asks."""
        source = self.source
        return write_headers(self.id, self.type, self.key, source) if isinstance(source, Source) else source

    @property
    def size(self) -> int:
        """Bytes of body and headers."""
        headers = self.headers
        return len(self.body) + sum(map(len, headers)) + sum(map(len, headers.values()))


class _Kind(Struct, frozen=True, gc=False):
    """What all events of a class have in common."""

    topic: Topic
    type: str
    gated: bool
    to_json: Callable[..., bytes]


@lru_cache(maxsize=1024)
def _kind(event: type[Event]) -> _Kind:
    return _Kind(parse_topic(event.topic), event.type, bool(event_gates(event)), event.__pydantic_serializer__.to_json)


def source_of(context: RequestContext) -> Source:
    """Of what is raised now."""
    return Source(
        time.time_ns(), context.request_id, context.partner_id, context.account_id, context.user_id, context.plan,
        context.traceparent,
    )  # fmt: skip


def message_of(event: Event, context: RequestContext) -> Message:
    """The message for an event raised in `context`; fields that its plan locks are null."""
    kind = _kind(event.__class__)
    if kind.gated:
        event = masked(event, context.plan)
    body = kind.to_json(event, by_alias=True)
    return Message(kind.topic, str(uuid7()), kind.type, source_of(context), body, event.key())


def moment(nanoseconds: int) -> str:
    """A moment since the epoch as RFC 3339 writes it, to the microsecond."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1000:06d}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    """Many events have the same: to write one down takes longer than all else in their headers."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def write_headers(id: str, type: str, key: str, source: Source) -> dict[str, str]:
    """Headers under the names that HTTP uses, where HTTP has them; what the caller has not is left out."""
    headers = {ID: id, TYPE: type, OCCURRED_AT: moment(source.at)}
    if key:
        headers[KEY] = key
    headers[REQUEST_ID] = source.request_id
    partner, account, user = source.partner_id, source.account_id, source.user_id
    if partner is not None:
        headers[PARTNER] = str(partner)
    if account is not None:
        headers[ACCOUNT] = str(account)
    if user is not None:
        headers[USER] = str(user)
    headers[PLAN] = PLAN_NAMES[source.plan]
    if source.traceparent:
        headers[TRACEPARENT] = source.traceparent
    return headers


def read_message(topic: Topic, headers: Mapping[str, str], body: bytes) -> Message:
    """A message from the wire; `MalformedMessageError` says which header is wrong."""
    text = headers.get(ID, "")
    try:
        id = str(uuid.UUID(text))
    except ValueError:
        raise MalformedMessageError(f"the header {ID!r} is no UUID: {text[:64]!r}") from None
    type = headers.get(TYPE, "")
    if not type:
        raise MalformedMessageError(f"the header {TYPE!r} is missing")
    return Message(topic=topic, id=id, type=type, key=headers.get(KEY, ""), source=headers, body=body)


def read_context(headers: Mapping[str, str], *, seconds: float) -> RequestContext:
    """The request context a handler runs in: the same that an HTTP call of that caller would have.

    Its deadline is `seconds` from now. A header that is there and wrong is `MalformedMessageError`.
    """
    plan = headers.get(PLAN, Plan.FREE.name)
    if plan not in Plan.__members__:
        raise MalformedMessageError(f"the header {PLAN!r} is none of {', '.join(Plan.__members__)}: {plan[:64]!r}")
    return RequestContext(
        request_id=_visible(headers, REQUEST_ID) or str(uuid7()),
        partner_id=_number(headers, PARTNER),
        account_id=_number(headers, ACCOUNT),
        user_id=_number(headers, USER),
        plan=Plan[plan],
        deadline=asyncio.get_running_loop().time() + seconds,
        traceparent=_visible(headers, TRACEPARENT),
    )


def read_time(headers: Mapping[str, str]) -> datetime:
    """When the event occurred."""
    try:
        at = datetime.fromisoformat(headers.get(OCCURRED_AT, ""))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise MalformedMessageError(f"the header {OCCURRED_AT!r} is no RFC 3339 time")
    return at


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    if _DECIMAL.fullmatch(text) is None:
        raise MalformedMessageError(f"the header {name!r} is no decimal number: {text[:64]!r}")
    return int(text)


def _visible(headers: Mapping[str, str], name: str) -> str:
    text = headers.get(name, "")
    if _VISIBLE.fullmatch(text) is None:
        raise MalformedMessageError(f"the header {name!r} holds more than visible ASCII")
    return text
