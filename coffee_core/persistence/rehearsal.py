"""A use case that does everything and leaves nothing: constraints are checked, hooks run, then all is undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from coffee_core.persistence.serializable import finish
from coffee_core.persistence.unit_of_work import begin_transaction, current_work

T = TypeVar("T")


async def rehearse(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` in a transaction that is rolled back, and answer what it answered.

    What a commit would check is checked, and what runs before it (`before_commit`) runs; what follows a commit does
    not. `serializable()` inside takes part and commits nothing. Numbers that a sequence gave are not given again. What
    `work` does elsewhere than through the unit of work is not undone. A transaction that is open already is a
    `RuntimeError`: it would be lost.
    """
    unit = current_work()
    if unit.transactional or unit.transaction is not None:
        raise RuntimeError("a transaction is open already: rehearse before the first write")
    unit.rehearsing = unit.repeating = True
    begin_transaction()
    try:
        result = await work()
        await unit.rehearse()
    except BaseException:
        await finish(unit.rollback())
        raise
    finally:
        unit.rehearsing = unit.repeating = False
        unit.isolation = "read_committed"
    return result
