"""A message as it travels: a JSON body, and headers that carry the request context of whoever raised it."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from msgspec import Struct
from uuid_utils import uuid7

from coffee_core.domain.context import RequestContext
from coffee_core.domain.event import Event
from coffee_core.domain.plan import PLAN_NAMES, Plan
from coffee_core.messaging.errors import MalformedMessageError
from coffee_core.messaging.gating import masked
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

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_VISIBLE = re.compile(r"[\x20-\x7e]{0,512}")


class Message(Struct, frozen=True, kw_only=True, gc=False):
    """One message. `headers` are those of `read_context` and `write_headers`; `body` is the event as JSON."""

    topic: Topic
    id: str
    """A UUID in its canonical spelling, as in the header."""
    type: str
    headers: Mapping[str, str]
    body: bytes
    key: str = ""

    @property
    def size(self) -> int:
        """Bytes of body and headers."""
        return len(self.body) + sum(map(len, self.headers)) + sum(map(len, self.headers.values()))


def message_of(event: Event, context: RequestContext) -> Message:
    """The message for an event raised in `context`; fields that its plan locks are null."""
    event = masked(event, context.plan)
    id, type, key = str(uuid7()), event.type, event.key()
    return Message(
        topic=parse_topic(event.topic),
        id=id,
        type=type,
        key=key,
        headers=write_headers(id, type, key, moment(time.time_ns()), context),
        body=event.__pydantic_serializer__.to_json(event, by_alias=True),
    )


def moment(nanoseconds: int) -> str:
    """A moment since the epoch as RFC 3339 writes it, to the microsecond."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1000:06d}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    """Many events have the same: to write one down takes longer than all else in their headers."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def write_headers(id: str, type: str, key: str, occurred_at: str, context: RequestContext) -> dict[str, str]:
    """Headers under the names that HTTP uses, where HTTP has them; what the caller has not is left out."""
    headers = {ID: id, TYPE: type, OCCURRED_AT: occurred_at}
    if key:
        headers[KEY] = key
    headers[REQUEST_ID] = context.request_id
    partner, account, user = context.partner_id, context.account_id, context.user_id
    if partner is not None:
        headers[PARTNER] = str(partner)
    if account is not None:
        headers[ACCOUNT] = str(account)
    if user is not None:
        headers[USER] = str(user)
    headers[PLAN] = PLAN_NAMES[context.plan]
    if context.traceparent:
        headers[TRACEPARENT] = context.traceparent
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
    return Message(topic=topic, id=id, type=type, key=headers.get(KEY, ""), headers=headers, body=body)


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
