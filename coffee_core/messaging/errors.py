"""What can go wrong between us and the broker."""

from coffee_core.domain.errors import CoffeeError, UnavailableError


class BrokerUnavailableError(UnavailableError):
    """The broker does not answer, or has no room: the same message may go through later."""


class MessageRefusedError(CoffeeError):
    """The broker will never take this message, for example because it is too large for it."""


class MalformedMessageError(CoffeeError):
    """A message whose headers or body cannot be read: it goes to the dead letters as it came."""
