"""What can go wrong, in the words of the business; `coffee_core.http.problems` has the one table to status codes.

CoffeeError
    InputError               unreadable or unknown input
    UnauthenticatedError     nobody we know
    PlanError                the plan does not include this
    ForbiddenError           known, but not allowed
    NotFoundError            not there, or another partner's
    MethodError              the resource has no such operation
    NotAcceptableError       no representation that the caller takes
    ConflictError            clashes with what is stored
    GoneError                was there once
    VersionMismatchError     the row has moved on since it was read
    VersionRequiredError     this write must name the version it is based on
    TooLargeError            larger than the bound
    MediaTypeError           a body of a kind we do not read
    RuleError                a rule of the business
    LimitError               a rate or usage limit is reached
        UsageLimitError      what was bought is used up in this period
    UnavailableError         a part that is needed does not answer, or is full
    DeadlineError            ran past its deadline
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple


class FieldError(NamedTuple):
    """One bad field: a JSON pointer (RFC 6901) into the body, or `?name` for a query parameter."""

    pointer: str
    detail: str


class CoffeeError(Exception):
    """Base of all. `detail` is for the caller: what was wrong, where, and what would be right."""

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)


class InputError(CoffeeError):
    """Unreadable or unknown input; names what is allowed."""


class UnauthenticatedError(CoffeeError):
    """No valid session."""


class PlanError(CoffeeError):
    """The caller's plan does not include this; names the plan that does."""


class ForbiddenError(CoffeeError):
    """The caller is known and may not do this."""


class NotFoundError(CoffeeError):
    """There is no such row for this caller; another partner's row is reported in the same words."""


class MethodError(CoffeeError):
    """The resource exists and has no such operation. `allowed` are the methods it has."""

    def __init__(self, detail: str, *, allowed: Sequence[str]) -> None:
        super().__init__(detail)
        self.allowed = tuple(allowed)


class NotAcceptableError(CoffeeError):
    """No representation that the caller accepts."""


class ConflictError(CoffeeError):
    """Clashes with what is stored, for example a unique key."""


class GoneError(CoffeeError):
    """Was there once and will not come back."""


class VersionMismatchError(CoffeeError):
    """The row is no longer at the version the caller named."""


class VersionRequiredError(CoffeeError):
    """This write must say which version it is based on."""


class TooLargeError(CoffeeError):
    """Larger than the documented bound."""


class MediaTypeError(CoffeeError):
    """A body of a media type that is not read here."""


class RuleError(CoffeeError):
    """A rule of the business was broken."""


class RetryableError(CoffeeError):
    """May succeed later: `retry_after` is in seconds."""

    def __init__(self, detail: str, *, retry_after: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class LimitError(RetryableError):
    """A rate or usage limit is reached."""


class UsageLimitError(LimitError):
    """What was bought is used up in this period, or `remaining` is too little. `reset` is the period's end, in UTC."""

    def __init__(self, detail: str, *, remaining: int, reset: datetime, retry_after: float) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.remaining = remaining
        self.reset = reset


class UnavailableError(RetryableError):
    """A part that is needed does not answer, or has no room."""


class DeadlineError(CoffeeError):
    """The work ran past the request's deadline and was rolled back."""
