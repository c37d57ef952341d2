"""Context: a handler runs as the caller who raised the event, as if he had called over HTTP."""

from __future__ import annotations

from coffee_core.domain.context import CURRENT
from coffee_core.messaging.broker import Dead, Outcome
from coffee_core.messaging.errors import MalformedMessageError
from coffee_core.messaging.handling import Handler, Handling
from coffee_core.messaging.message import read_context
from coffee_core.messaging.settings import MessagingSettings


def in_context(handler: Handler, settings: MessagingSettings) -> Handler:
    """Set the request context from the message's headers, for `handler` and whatever it calls."""

    async def outermost(handling: Handling) -> Outcome:
        try:
            context = read_context(handling.message.headers, seconds=settings.handler_seconds)
        except MalformedMessageError as error:
            return Dead(error.detail)
        token = CURRENT.set(context)
        try:
            return await handler(handling)
        finally:
            CURRENT.reset(token)

    return outermost
