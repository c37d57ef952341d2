"""A decision that waits for session and plan, without a task and without a coroutine: it goes on where it stopped, when
both are known.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from coffee_core.cache.entry import CachedEntry
from coffee_core.cache.two_tier import TwoTierCache
from coffee_core.domain.errors import UnavailableError
from gateway.verdict.decision import Answered, Decision, Forward, Local, Refused
from gateway.verdict.exchange import Exchange, TokenRecord
from gateway.verdict.pending import Pending
from gateway.verdict.plan import Grant
from gateway.verdict.session import Session


class Steps(Protocol):
    """The steps of a decision that come after."""

    def found(
        self, x: Exchange, record: TokenRecord, session: CachedEntry[Session], plan: CachedEntry[Grant]
    ) -> Decision | Awaitable[Decision]:
        """Both are known."""
        ...

    def unknown(self, x: Exchange, error: UnavailableError) -> Decision | Awaitable[Decision]:
        """Nobody can tell at the moment."""
        ...


class Asked(Pending[Decision]):
    """One request whose session or plan is being looked up. Once it is cancelled nothing is done for it any more."""

    def __init__(
        self,
        x: Exchange,
        record: TokenRecord,
        session: CachedEntry[Session] | None,
        plan: CachedEntry[Grant] | None,
        steps: Steps,
    ) -> None:
        self._x = x
        self._record = record
        self._session = session
        self._plan = plan
        self._steps = steps

    def ask(self, sessions: TwoTierCache[Session], plans: TwoTierCache[Grant]) -> None:
        """For what is missing; both together are one trip to Redis. `UnavailableError`: too much is asked already."""
        if self._session is None:
            sessions.ask(self._record.session_key, self._session_found)
        if self._plan is None:
            plans.ask(self._record.plan_key, self._plan_found)

    def _session_found(self, outcome: CachedEntry[Session] | BaseException) -> None:
        if isinstance(outcome, BaseException):
            self._failed(outcome)
            return
        self._session = outcome
        if self._plan is not None:
            self._go_on(outcome, self._plan)

    def _plan_found(self, outcome: CachedEntry[Grant] | BaseException) -> None:
        if isinstance(outcome, BaseException):
            self._failed(outcome)
            return
        self._plan = outcome
        if self._session is not None:
            self._go_on(self._session, outcome)

    def _go_on(self, session: CachedEntry[Session], plan: CachedEntry[Grant]) -> None:
        if self.over:
            return
        try:
            outcome = self._steps.found(self._x, self._record, session, plan)
        except Exception as error:  # noqa: BLE001 - a fault of ours is told to who waits, not to the cache that answered
            self.tell(error)
            return
        if isinstance(outcome, Forward):
            self.tell(outcome)
        else:
            self._decided(outcome)

    def _failed(self, error: BaseException) -> None:
        if self.over:
            return
        if isinstance(error, UnavailableError):
            self._decided(self._steps.unknown(self._x, error))
        else:
            self.tell(error)

    def _decided(self, outcome: Decision | Awaitable[Decision]) -> None:
        if isinstance(outcome, (Refused, Answered, Forward, Local)):
            self.tell(outcome)
        else:
            self.follow(outcome)  # a limit has to be asked for
