"""Layer: one unit of work a request, ended before the answer's first byte leaves, and stopped at its deadline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

import msgspec

from coffee_core.domain.context import CURRENT, RequestContext, Work
from coffee_core.domain.errors import DeadlineError, UnavailableError
from coffee_core.wire.message import Handler, Request, Response

log: Final = logging.getLogger("coffee.http")


class Flight(msgspec.Struct, eq=False):
    """A request that is being worked on. Its deadline is read as it stands: an import gives itself more time."""

    context: RequestContext
    task: asyncio.Task[Any] | None
    expired: bool = False


class UnitsOfWork:
    """The requests in flight. A coarse sweep stops those past their deadline, which is cheaper than a timer each.

    A success commits; a status of 400 or more, an exception, a cancellation and a deadline roll back. A commit that
    has begun is never interrupted by deadline or disconnect, so that its after-commit steps run; it has a bound of
    its own (`commit_seconds`).
    """

    def __init__(self, *, commit_seconds: float) -> None:
        self.flights: set[Flight] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._commit_seconds = commit_seconds

    async def settle(self) -> None:
        """Wait for commits and rollbacks whose requests have gone."""
        if self._ending:
            await asyncio.wait(set(self._ending), timeout=self._commit_seconds)

    def sweep(self, now: float) -> None:
        """Stop what is past its deadline at `now` (the loop's clock)."""
        for flight in [flight for flight in self.flights if flight.context.deadline < now]:
            if not flight.expired and flight.task is not None:
                flight.expired = True
                flight.task.cancel()

    def layer(self, following: Handler) -> Handler:
        """The layer itself."""
        flights = self.flights
        current_task = asyncio.current_task

        async def handle(request: Request) -> Response:
            context = CURRENT.get()
            flight = Flight(context, request.task or current_task())
            flights.add(flight)
            try:
                response = await following(request)
                if flight.expired:  # the handler swallowed it: its work is void all the same
                    raise asyncio.CancelledError
            except asyncio.CancelledError:
                flights.discard(flight)
                await self._undo(context.work)
                if flight.expired and flight.task is not None and flight.task.uncancel() == 0:
                    raise DeadlineError("this ran past its deadline: it was stopped and nothing was stored") from None
                raise
            except BaseException:
                flights.discard(flight)
                await self._undo(context.work)
                raise
            flights.discard(flight)
            work = context.work
            if work is not None and work.pending:
                if response.status >= 400:
                    await self._undo(work)
                elif not work.ends_at_once():
                    await self._commit(work)
            return response

        return handle

    async def _commit(self, work: Work) -> None:
        committing = self._task(_commit_or_undo(work))
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()  # asyncio.wait does the same with more calls

        def end(_: object = None) -> None:
            if not ended.done():
                ended.set_result(None)

        committing.add_done_callback(end)
        bound = loop.call_later(self._commit_seconds, end)
        try:
            await ended
        except asyncio.CancelledError:  # the caller has gone: what has begun is finished without him
            loop.call_later(self._commit_seconds, committing.cancel)
            committing.add_done_callback(_log_failure)
            raise
        finally:
            bound.cancel()
        if not committing.done():
            committing.cancel()
            raise UnavailableError("the commit took too long: it may or may not be stored")
        committing.result()

    async def _undo(self, work: Work | None) -> None:
        """Roll back to the end, even if the request is cancelled once more meanwhile."""
        if work is not None and work.pending:
            undoing = self._task(work.rollback())
            undoing.add_done_callback(_log_failure)  # the error that led here is the caller's, not this one
            await asyncio.wait({undoing})

    def _task(self, ending: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(ending)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task


async def _commit_or_undo(work: Work) -> None:
    try:
        await work.commit()
    except BaseException:
        await work.rollback()  # a step before the commit may have failed
        raise


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("a unit of work could not be ended: %s", type(error).__name__)
