"""The order of the middleware, written down once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from coffee_core.messaging.handling import Handler
from coffee_core.messaging.inbox import Inbox
from coffee_core.messaging.middleware.context import in_context
from coffee_core.messaging.middleware.recoverer import recovered
from coffee_core.messaging.middleware.retry import retried
from coffee_core.messaging.middleware.transaction import in_transaction
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.messaging.stats import MessagingStats


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the middleware needs."""

    inbox: Inbox
    settings: MessagingSettings = field(default_factory=MessagingSettings)
    stats: MessagingStats = field(default_factory=MessagingStats)


def chain(name: str, handle: Callable[[Any], Awaitable[None]], parts: Parts) -> Handler:
    """`handle` (which takes the event) with everything around it."""
    step = recovered(name, handle, parts.settings)
    step = retried(name, step, parts.inbox, parts.settings, parts.stats)
    handler = in_transaction(name, step)
    return in_context(handler, parts.settings)
