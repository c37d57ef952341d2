"""A use case under SERIALIZABLE, run again from the start when PostgreSQL cannot order it among the others."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from coffee_core.persistence.errors import SerializationError
from coffee_core.persistence.unit_of_work import UnitOfWork, begin_transaction, current_work

T = TypeVar("T")

PAUSE_SECONDS = 0.01
"""Before the second attempt at most; doubled for each further one."""

LONGEST_PAUSE = 0.25
"""Between two attempts at most. Seconds."""


class StrongerIsolationError(RuntimeError):
    """SERIALIZABLE was asked for inside a weaker transaction whose owner can begin again: he does."""


async def serializable(work: Callable[[], Awaitable[T]], *, attempts: int = 3) -> T:
    """Run `work` in a SERIALIZABLE transaction of its own and commit it; what it returns is stored already.

    When two transactions met (SQLSTATE 40001, 40P01; in a statement or at the COMMIT) everything is undone, hooks and
    events of the attempt are dropped, and `work` runs again after a random pause, `attempts` times in all; then
    `SerializationError` (503) is the caller's. So `work` must do nothing but through the unit of work.

    Hooks and events from before the call belong to the first attempt that commits. A transaction that is open already
    is a `RuntimeError`: it could not be begun again. Inside another `serializable` it takes part in the outer one's
    attempts.
    """
    unit = current_work()
    if unit.repeating:
        if unit.rehearsing and unit.transaction is None:
            unit.isolation = "serializable"  # nothing has begun yet, and nothing will be committed
        if unit.isolation != "serializable":
            raise StrongerIsolationError("the transaction in hand is weaker than SERIALIZABLE")
        return await work()
    if unit.transactional or unit.transaction is not None:
        raise RuntimeError("a transaction is open already: call serializable() before the first write")
    if attempts < 1:
        raise ValueError("at least one attempt is needed")
    unit.repeating = True
    try:
        return await _attempts(unit, work, attempts)
    finally:
        unit.repeating = False
        unit.isolation = "read_committed"


async def _attempts(unit: UnitOfWork, work: Callable[[], Awaitable[T]], attempts: int) -> T:
    hooks, before = list(unit.hooks), list(unit.before_commit)
    for number in range(1, attempts + 1):
        begin_transaction("serializable")
        try:
            result = await work()
            await finish(unit.commit())
        except BaseException as error:
            await finish(unit.rollback())
            if not isinstance(error, SerializationError) or number == attempts:
                raise
        else:
            return result
        unit.hooks[:], unit.before_commit[:] = hooks, before
        await asyncio.sleep(random.uniform(0, min(LONGEST_PAUSE, PAUSE_SECONDS * 2**number)))  # noqa: S311
    raise AssertionError  # the last attempt has returned or raised


async def finish(ending: Awaitable[None]) -> None:
    """Await the end of a unit of work; a cancellation meanwhile waits for it, so that it is not cut in the middle."""
    task = asyncio.ensure_future(ending)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # looked at: the cancellation is what counts now
        raise
