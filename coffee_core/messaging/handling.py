"""One message on its way through the middleware to its handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeAlias

from coffee_core.domain.event import Event
from coffee_core.messaging.broker import Outcome
from coffee_core.messaging.message import Message


class Handling(NamedTuple):
    """A message and the event in it."""

    message: Message
    event: Event


class HandlerError(Exception):
    """What a handler raised, whatever it was: `text` names the kind and says what it said."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


Handler: TypeAlias = Callable[[Handling], Awaitable[Outcome]]
"""A handler with middleware around it: tells the outcome, raises nothing but cancellation."""

Step: TypeAlias = Callable[[Handling], Awaitable[None]]
"""What is inside of the transaction: raises where it fails."""
