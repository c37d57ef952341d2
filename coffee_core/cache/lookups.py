"""What is stored under single keys, asked for together: one trip to Redis at a time.

The keys of one turn of the event loop go in one question, and those that are asked about while it is under way go in
the next: a trip costs both sides far more than one more key in it does, and who comes when many come waits for the
rest of one trip longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from coffee_core.cache.redis_scripts import DOWN, RedisScripts, Silence

AT_ONCE = 200
"""Keys in one question: the server does nothing else meanwhile."""

Told: TypeAlias = Callable[[bytes | Silence | None], None]
"""Gets what is stored under the key; `None`: nothing is. It may not raise."""


class Lookups:
    """Gathers and asks, on a single server."""

    def __init__(self, scripts: RedisScripts) -> None:
        self._scripts = scripts
        self._keys: list[bytes] = []
        self._told: list[Told] = []
        self._away = False
        """Whether a question is under way, or will be in this turn of the loop."""

    def ask(self, key: str, told: Told) -> None:
        """Ask with the next trip."""
        self._keys.append(key.encode())
        self._told.append(told)
        if not self._away:
            self._away = True
            asyncio.get_running_loop().call_soon(self._go)

    def _go(self) -> None:
        keys, self._keys = self._keys[:AT_ONCE], self._keys[AT_ONCE:]
        told, self._told = self._told[:AT_ONCE], self._told[AT_ONCE:]
        self._scripts.values(keys, partial(self._replied, told))

    def _replied(self, asked: Sequence[Told], reply: object) -> None:
        if isinstance(reply, list) and len(reply) == len(asked):
            for told, value in zip(asked, reply, strict=True):
                told(value if value is None or isinstance(value, bytes) else DOWN)
        else:
            # who came meanwhile would wait a time-out of his own for the same silence
            asked, self._keys, self._told = [*asked, *self._told], [], []
            for told in asked:
                told(DOWN)
        if self._keys:
            self._go()
        else:
            self._away = False
