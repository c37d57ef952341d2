"""What all brokers share: headers as ASCII, dead letters' headers, and calls that end in time."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from coffee_core.messaging.broker import ERROR, FAILED_AT, DeadLetter
from coffee_core.messaging.errors import BrokerUnavailableError
from coffee_core.messaging.message import HEADERS, ID, TYPE, Message
from coffee_core.messaging.topic import Topic

_VISIBLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")

_OWN = HEADERS | {ERROR, FAILED_AT}

ERROR_MAX = 2000
"""Characters of an error that a dead letter keeps."""


def to_wire(headers: Mapping[str, str]) -> dict[str, str]:
    """Values as visible ASCII: everything else is percent-encoded as UTF-8, and so is `%` itself."""
    return {name: quote(value, safe=_VISIBLE) for name, value in headers.items()}


def from_wire(headers: Mapping[str, object]) -> dict[str, str]:
    """The values again, of our own headers alone."""
    return {name: unquote(value) for name, value in headers.items() if name in _OWN and isinstance(value, str)}


def dead_headers(headers: Mapping[str, str], error: str) -> dict[str, str]:
    """The headers of a message that was given up because of `error`."""
    at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {**headers, ERROR: error[:ERROR_MAX], FAILED_AT: at}


def revived(topic: Topic, letter: DeadLetter) -> Message:
    """The message that a dead letter was, as it was raised; even if its headers cannot be read."""
    headers = {name: value for name, value in letter.headers.items() if name in HEADERS}
    try:
        id = str(uuid.UUID(headers.get(ID, "")))
    except ValueError:
        id = str(uuid.uuid4())
    return Message(topic=topic, id=id, type=headers.get(TYPE, ""), source=headers, body=letter.body)


@asynccontextmanager
async def bounded(seconds: float, *failures: type[Exception]) -> AsyncIterator[None]:
    """A block that talks to the broker: too slow, or one of `failures`, is `BrokerUnavailableError`."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except BrokerUnavailableError:
        raise
    except Exception as error:
        if not isinstance(error, (TimeoutError, OSError, *failures)):
            raise
        raise BrokerUnavailableError(f"the broker does not answer: {type(error).__name__} {error}".rstrip()) from error
