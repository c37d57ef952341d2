"""A decision that waits for session and plan, without a task and without a coroutine: it goes on where it stopped, when
both are known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Protocol

from coffee_core.cache.entry import CachedEntry
from coffee_core.cache.two_tier import TwoTierCache
from coffee_core.domain.errors import UnavailableError
from gateway.verdict.decision import Decision
from gateway.verdict.exchange import Exchange, TokenRecord
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


class Asked:
    """One request whose session or plan is being looked up. `decision` gets the outcome; once that is cancelled nothing
    is done for it any more."""

    __slots__ = ("_plan", "_record", "_session", "_steps", "_x", "decision")

    def __init__(
        self,
        x: Exchange,
        record: TokenRecord,
        session: CachedEntry[Session] | None,
        plan: CachedEntry[Grant] | None,
        steps: Steps,
    ) -> None:
        self.decision: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
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
        if self.decision.done():
            return
        try:
            outcome = self._steps.found(self._x, self._record, session, plan)
        except Exception as error:  # noqa: BLE001 - a fault of ours is told to who waits, not to the cache that answered
            self.decision.set_exception(error)
        else:
            self._decided(outcome)

    def _failed(self, error: BaseException) -> None:
        if self.decision.done():
            return
        if isinstance(error, UnavailableError):
            self._decided(self._steps.unknown(self._x, error))
        elif isinstance(error, asyncio.CancelledError):
            self.decision.cancel()
        else:
            self.decision.set_exception(error)

    def _decided(self, outcome: Decision | Awaitable[Decision]) -> None:
        if isinstance(outcome, Awaitable):  # a limit has to be asked for: that takes a task
            task = asyncio.ensure_future(outcome)
            task.add_done_callback(partial(_pass_on, self.decision))
            self.decision.add_done_callback(partial(_end, task))
        else:
            self.decision.set_result(outcome)


def _pass_on(decision: asyncio.Future[Decision], task: asyncio.Future[Decision]) -> None:
    if decision.done():
        return
    if task.cancelled():
        decision.cancel()
    elif (error := task.exception()) is not None:
        decision.set_exception(error)
    else:
        decision.set_result(task.result())


def _end(task: asyncio.Future[Decision], decision: asyncio.Future[Decision]) -> None:
    if decision.cancelled():
        task.cancel()
