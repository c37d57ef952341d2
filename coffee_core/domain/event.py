"""What a manager announces."""

from collections.abc import Callable
from enum import Enum
from typing import ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Delivery(Enum):
    """When, and how surely, an event goes out. Neither goes out for what was rolled back."""

    AFTER_COMMIT = "after_commit"
    """Published after the commit: cheap, lost if the process dies between the two."""

    OUTBOX = "outbox"
    """Stored in the same transaction and relayed at least once, in order per key."""


class Event(BaseModel):
    """Base of all events: frozen facts, camelCase on the wire.

    `topic` is `exchange___queue` (PLATFORM section 6); `type` names the kind of fact within the topic. A field may be
    gated as an Entry's: `Annotated[str | None, Gated(Plan.SAAS)]` is null in what a caller on a smaller plan raises.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    topic: ClassVar[str]
    type: ClassVar[str]

    def key(self) -> str:
        """Events of one key are delivered in order; the default is one key for the topic."""
        return ""


class EventSink(Protocol):
    """Where a manager's announcements go: see `coffee_core.messaging`."""

    def raise_event(self, event: Event, delivery: Delivery = Delivery.AFTER_COMMIT) -> None:
        """Attach `event` to the unit of work in hand: it goes out with its commit, or not at all."""
        ...


@runtime_checkable
class Announcer(EventSink, Protocol):
    """An `EventSink` that makes events of what is stored already, many at once and a moment later."""

    def announce(self, make: Callable[[], Event | None]) -> None:
        """Raise what `make` answers, if anything, after commit. It is called in the request context in hand; what it
        raises is logged."""
        ...
