"""Who is calling, on which plan, until when: one contextvar, filled by the HTTP pipeline or the message middleware."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol

import msgspec

from coffee_core.domain.errors import ForbiddenError, UnauthenticatedError
from coffee_core.domain.plan import Plan

OPERATOR_PARTNER = 0
"""The platform's own partner: its users are operators, who may write what belongs to no partner."""


class Work(Protocol):
    """What the context carries of the unit of work: see `coffee_core.persistence.unit_of_work`."""

    @property
    def pending(self) -> bool:
        """Whether there is anything to commit, to undo, or waiting for the commit."""
        ...

    def ends_at_once(self) -> bool:
        """End it without waiting, if that can be; else False, and `commit` is needed."""
        ...

    async def commit(self) -> None:
        """Commit what is open, then run what waits for the commit."""

    async def rollback(self) -> None:
        """Undo what is open and drop what waits for a commit."""


class RequestContext(msgspec.Struct, kw_only=True, eq=False):
    """Facts of the request or message in hand. Ids are decimal numbers; `None` is an anonymous caller.

    `deadline` is on the event loop's clock, in seconds; `work` is the unit of work, made at its first use.
    """

    request_id: str
    partner_id: int | None = None
    account_id: int | None = None
    user_id: int | None = None
    plan: Plan = Plan.FREE
    deadline: float = float("inf")
    client_address: str = ""
    traceparent: str = ""
    work: Work | None = None

    @property
    def is_operator(self) -> bool:
        """Whether the caller belongs to the platform's own partner."""
        return self.partner_id == OPERATOR_PARTNER

    def require_operator(self) -> None:
        """Refuse everybody but operators."""
        self.partner()
        if not self.is_operator:
            raise ForbiddenError("only the platform's operators may do this")

    def partner(self) -> int:
        """The caller's partner id; an anonymous caller is `UnauthenticatedError`."""
        if self.partner_id is None:
            raise UnauthenticatedError("this needs a session: log in and send its token")
        return self.partner_id

    def user(self) -> int:
        """The caller's user id; an anonymous caller is `UnauthenticatedError`."""
        if self.user_id is None:
            raise UnauthenticatedError("this needs a session: log in and send its token")
        return self.user_id


CURRENT: ContextVar[RequestContext] = ContextVar("coffee_request_context")


def current() -> RequestContext:
    """The context of the work in hand; outside of any it is a `ForbiddenError`: nothing runs unscoped by accident."""
    context = CURRENT.get(None)
    if context is None:
        raise ForbiddenError("no request context: run this inside a request, a message handler or `acting_as(...)`")
    return context
