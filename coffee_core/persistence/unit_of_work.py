"""The unit of work: at most one transaction a request, committed once, before the first byte of a success."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from msgspec import Struct

from coffee_core.domain.context import CURRENT, RequestContext, current

log = logging.getLogger(__name__)

Isolation: TypeAlias = Literal["read_committed", "serializable"]
Hook: TypeAlias = Callable[[], Awaitable[None]]
Step: TypeAlias = Callable[[], None]


class Transaction(Protocol):
    """An open transaction of one store, bound to one connection."""

    async def commit(self) -> None:
        """Make it last, and give the connection back."""

    async def rollback(self) -> None:
        """Undo it, and give the connection back."""


@runtime_checkable
class Nesting(Protocol):
    """A transaction of which a part can be undone alone (SQL's savepoints)."""

    async def mark(self) -> str:
        """Remember this point; answers its name."""
        ...

    async def undo_to(self, mark: str) -> None:
        """Undo what came after `mark`, and forget it."""

    async def keep(self, mark: str) -> None:
        """Forget `mark`, and keep what came after it."""


@runtime_checkable
class Checking(Protocol):
    """A transaction that can check now what it would check at its commit (SQL's deferred constraints)."""

    async def check(self) -> None:
        """Raise what the commit would."""


class Transactional(Protocol):
    """A store that has transactions."""

    async def begin(self, isolation: Isolation) -> Transaction:
        """Open one."""
        ...


class UnitOfWork(Struct, eq=False):
    """Opened by the first statement that needs it. Reads and single-statement writes leave it closed.

    `transactional` is switched on by a use case that writes more than one statement; from then on every statement
    of the request runs in one transaction. `lock` keeps two statements of one request from sharing the connection
    at the same moment.
    """

    transactional: bool = False
    isolation: Isolation = "read_committed"
    store: Transactional | None = None
    transaction: Transaction | None = None
    hooks: list[Hook | Step] = []
    _awaits: bool = False
    """Whether one of `hooks` may be a coroutine's."""
    before_commit: list[Hook] = []
    _lock: asyncio.Lock | None = None
    repeating: bool = False
    """Whether somebody further out runs this again as a whole: see `persistence/serializable.py`."""
    rehearsing: bool = False
    """Whether all of it will be rolled back: see `persistence/rehearsal.py`."""
    wrote: bool = False
    """Whether its reads must see the primary: see `persistence/read_routing.py`."""

    @property
    def lock(self) -> asyncio.Lock:
        """Of the connection; made when the first statement of a transaction asks for it."""
        lock = self._lock
        if lock is None:
            lock = self._lock = asyncio.Lock()
        return lock

    @property
    def pending(self) -> bool:
        """Whether there is anything to commit, to undo, or waiting for the commit."""
        return self.transaction is not None or bool(self.hooks) or bool(self.before_commit)

    async def join(self, store: Transactional) -> Transaction:
        """The transaction on `store`, begun now if there is none. One unit of work spans one store."""
        if self.transaction is None:
            self.transaction = await store.begin(self.isolation)
            self.store = store
        elif self.store is not store:
            raise RuntimeError("one unit of work spans one store: write to the second after the commit, by an event")
        return self.transaction

    def after_commit(self, hook: Hook) -> None:
        """Run `hook` once everything is stored; never after a rollback. Its failure is logged, not the caller's."""
        self._awaits = True
        self.hooks.append(hook)

    def after_commit_at_once(self, step: Step) -> None:
        """The same for what waits for nothing: nobody can interrupt it, so it needs no task to be safe in."""
        self.hooks.append(step)

    def ends_at_once(self) -> bool:
        """Run what waits for the commit, if nothing is to be committed and nothing of it waits; else do nothing.

        Answers whether that was all that there was to do.
        """
        if self._awaits or self.transaction is not None or self.before_commit:
            return False
        self.transactional = False
        hooks, self.hooks = self.hooks, []
        for hook in hooks:
            try:
                hook()
            except Exception:
                log.exception("an after-commit step failed; what was committed stays")
        return True

    async def commit(self) -> None:
        """Store everything, then run the hooks. If the commit fails nothing was stored and no hook runs."""
        while self.before_commit:  # a step may add another
            await self.before_commit.pop(0)()
        transaction, self.transaction, self.transactional = self.transaction, None, False
        if transaction is not None:
            try:
                await transaction.commit()
            except BaseException:
                self.hooks.clear()
                raise
        hooks, self.hooks = self.hooks, []
        for hook in hooks:
            try:
                waiting = hook()
                if waiting is not None:
                    await waiting
            except Exception:
                log.exception("an after-commit step failed; what was committed stays")

    async def rehearse(self) -> None:
        """All that a commit does and checks before it lasts, and then a rollback: nothing is stored, no hook runs."""
        while self.before_commit:
            await self.before_commit.pop(0)()
        checking = _checking(self.transaction)
        if checking is not None:
            await checking.check()
        await self.rollback()

    async def rollback(self) -> None:
        """Undo everything; what waited for the commit is dropped."""
        self.hooks.clear()
        self.before_commit.clear()
        transaction, self.transaction, self.transactional = self.transaction, None, False
        if transaction is not None:
            await transaction.rollback()


def work_of(context: RequestContext) -> UnitOfWork:
    """The unit of work of `context`, made at its first use."""
    work = context.work
    if work is None:
        work = context.work = UnitOfWork()
    if not isinstance(work, UnitOfWork):
        raise TypeError(f"the context carries a {type(work).__name__}, not a UnitOfWork")
    return work


def current_work() -> UnitOfWork:
    """The unit of work in hand."""
    return work_of(current())


def in_transaction() -> bool:
    """Whether what is written in the unit of work in hand waits for its commit."""
    work = current().work
    return isinstance(work, UnitOfWork) and work.transactional


def begin_transaction(isolation: Isolation | None = None) -> UnitOfWork:
    """From here on every statement of this unit of work runs in one transaction.

    Asking for SERIALIZABLE after a weaker transaction has begun is an error: it could not be kept.
    """
    work = current_work()
    work.transactional = True
    if isolation is not None and isolation != work.isolation:
        if work.transaction is not None:
            raise RuntimeError(f"a {work.isolation} transaction is already open: ask for {isolation} at its start")
        work.isolation = isolation
    return work


@asynccontextmanager
async def savepoint() -> AsyncIterator[None]:
    """What the block writes and announces is undone alone if it raises; the unit of work goes on.

    On a store without savepoints the failure of the block spoils the whole unit of work.
    """
    work = begin_transaction()
    outer = work.transaction
    hooks, before = len(work.hooks), len(work.before_commit)
    nesting = _nesting(outer)
    mark = "" if nesting is None else await nesting.mark()
    try:
        yield
    except BaseException:
        del work.hooks[hooks:], work.before_commit[before:]
        if outer is None:  # the block itself has begun the transaction: all of it is the block's
            opened, work.transaction = work.transaction, None
            if opened is not None:
                await asyncio.shield(opened.rollback())
        elif nesting is not None:
            await asyncio.shield(nesting.undo_to(mark))
        raise
    if nesting is not None:
        await nesting.keep(mark)


def _checking(transaction: object) -> Checking | None:
    return transaction if isinstance(transaction, Checking) else None


def _nesting(transaction: object) -> Nesting | None:
    return transaction if isinstance(transaction, Nesting) else None


@asynccontextmanager
async def acting_as(context: RequestContext) -> AsyncIterator[UnitOfWork]:
    """Run a block as `context`: commits at its end, rolls back if it raises or is cancelled.

    For commands, jobs and message handlers; HTTP requests get the same from the pipeline.
    """
    token = CURRENT.set(context)
    work = work_of(context)
    try:
        yield work
        await work.commit()
    except BaseException:
        await asyncio.shield(work.rollback())
        raise
    finally:
        CURRENT.reset(token)
