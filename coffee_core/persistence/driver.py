"""A prepared statement of asyncpg, called where all of its public calls end: at the connection's protocol object.

`PreparedStatement.fetch` is three coroutines and six functions around one call, of which the protocol itself repeats
every check: that the connection is open, that nothing else runs on it, how long a statement may take. Time-outs and
cancellation are its work in either case. It is no public interface, so it is used with the releases that it is known
from (`RELEASES`) and only if it is there; with any other the public call is made.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import asyncpg

RELEASES: Final = ((0, 30), (0, 33))
"""From the first to before the second: `BaseProtocol.bind_execute` is the same in all of them."""


class Prepared:
    """`await prepared.run(values, "", 0, False, None)` answers rows. The four other arguments are the protocol's own
    (portal, limit, whether to tell the command's tag, time-out), as a function around them would cost what is saved."""

    __slots__ = ("_statement", "run")

    def __init__(self, raw: Any, statement: Any) -> None:  # Any: asyncpg has no types
        self._statement = statement  # the server's own lives as long as this
        bind_execute = getattr(getattr(raw, "_protocol", None), "bind_execute", None)
        state = getattr(statement, "_state", None)
        self.run: Callable[..., Awaitable[Any]] = self._publicly
        if bind_execute is not None and state is not None and known(asyncpg.__version__):
            self.run = partial(bind_execute, state)

    def fetch(self, *values: object) -> Awaitable[Any]:
        """The same, for who does not count microseconds."""
        return self.run(values, "", 0, False, None)

    async def _publicly(self, values: Sequence[object], *_: object) -> Any:
        return await self._statement.fetch(*values)


def connected(raw: Any) -> Callable[[], bool]:
    """The function that says whether a connection is open: the protocol's own, which is one of C."""
    found: Callable[[], bool] | None = getattr(getattr(raw, "_protocol", None), "is_connected", None)
    return found if found is not None and known(asyncpg.__version__) else lambda: not raw.is_closed()


def known(release: str) -> bool:
    """Whether the protocol of this release of asyncpg is known."""
    numbers = release.split(".")[:2]
    first, beyond = RELEASES
    return all(part.isdigit() for part in numbers) and first <= tuple(map(int, numbers)) < beyond
