"""What is stored under single keys, asked for together: one trip to Redis at a time.

The keys of one turn of the event loop go in one question, and those that are asked about while it is under way go in
the next: a trip costs both sides far more than one more key in it does, and who comes when many come waits for the
rest of one trip longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

from coffee_core.cache.redis_scripts import DOWN, RedisScripts, Silence

AT_ONCE = 200
"""Keys in one question: the server does nothing else meanwhile."""


class Keyed(Protocol):
    """Who asks."""

    @property
    def key(self) -> str:
        """About what."""
        ...


A = TypeVar("A", bound=Keyed)


class Lookups(Generic[A]):
    """Gathers and asks, on a single server.

    `told` gets who asked and what is stored under his key; `None`: nothing is. It may not raise.
    """

    def __init__(self, scripts: RedisScripts, told: Callable[[A, bytes | Silence | None], None]) -> None:
        self._scripts = scripts
        self._told = told
        self._asking: list[A] = []
        self._away = False
        """Whether a question is under way, or will be in this turn of the loop."""

    def ask(self, asking: A) -> None:
        """Ask with the next trip."""
        self._asking.append(asking)
        if not self._away:
            self._away = True
            asyncio.get_running_loop().call_soon(self._go)

    def _go(self) -> None:
        asking, self._asking = self._asking[:AT_ONCE], self._asking[AT_ONCE:]
        self._scripts.values([each.key.encode() for each in asking], partial(self._replied, asking))

    def _replied(self, asking: Sequence[A], reply: object) -> None:
        told = self._told
        if isinstance(reply, list) and len(reply) == len(asking):
            for each, value in zip(asking, reply, strict=True):
                told(each, value if value is None or isinstance(value, bytes) else DOWN)
        else:
            # who came meanwhile would wait a time-out of his own for the same silence
            asking, self._asking = [*asking, *self._asking], []
            for each in asking:
                told(each, DOWN)
        if self._asking:
            self._go()
        else:
            self._away = False
