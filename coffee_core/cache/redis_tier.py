"""The tier that all processes share. A missing key is claimed by whoever means to fill it, under the key itself.

The claim is the lock across processes and the guard against stale fills in one: it is stored in the key's own place,
so that a plain DEL or SET by anyone, for example the authority that revokes a session, ends it, and the fill of the
process that had begun to load before finds its claim gone and stores nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Final, Protocol

from msgspec import Struct

from coffee_core.cache.claims import Claims
from coffee_core.cache.lookups import Lookups
from coffee_core.cache.redis_scripts import RedisScripts, Silence

MARKED: Final = b"!"
"""How all begins that is no value: no JSON text does."""
CLAIM = b"!claim:"
NEGATIVE = b"!none"

FILL_SCRIPT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
RELEASE_SCRIPT = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class State(Enum):
    """What Redis said."""

    FOUND = "found"
    ABSENT = "absent"
    """Known not to exist: remembered from the authority."""
    CLAIMED = "claimed"
    """Not there; it is this process's to load and fill."""
    BUSY = "busy"
    """Another process is loading it."""
    DOWN = "down"
    """Nothing, in time."""


FOUND: Final = State.FOUND
"""By its own name: to look it up in its class costs more than to compare it."""


class Answer(Struct, frozen=True, gc=False):
    """`raw` is the value (FOUND) or this process's claim (CLAIMED): what a fill expects to replace."""

    state: State
    raw: bytes = b""


class Asking(Protocol):
    """Who wants to know what is stored under a key."""

    @property
    def key(self) -> str:
        """The key."""
        ...

    @property
    def claims_for(self) -> float:
        """Seconds for which it claims the right to load what is not there."""
        ...

    def found(self, raw: bytes) -> None:
        """This is. One of the two is called, once; neither may raise."""
        ...

    def heard(self, answer: Answer) -> None:
        """What there is to say otherwise."""
        ...


DOWN = Answer(State.DOWN)
BUSY = Answer(State.BUSY)
ABSENT = Answer(State.ABSENT, NEGATIVE)


class RedisTier:
    """Never raises for Redis's sake: a server that is slow, gone, full or mad is an answer (`DOWN`). The bounds are
    those of `RedisScripts`.
    """

    def __init__(self, scripts: RedisScripts) -> None:
        self.redis = scripts.redis
        self.scripts = scripts
        """For other scripts on the same server: what they learn of its silence, this learns too."""
        self._claims = Claims(scripts)
        lookups = Lookups(scripts, self._looked) if scripts.single else None
        self.ask: Callable[[Asking], None] = self._claim_at_once if lookups is None else lookups.ask
        """Asks for the value, or the right to load it. Mostly a value is there, and then nothing has to be claimed. On
        a cluster, where each key is asked by itself, a claim is asked for at once: that is one trip for those that are
        not there."""
        self._self = b""
        self._numbers = itertools.count()
        """Together they are a claim that nobody else makes."""

    @property
    def errors(self) -> int:
        """Questions without an answer, ever."""
        return self.scripts.errors

    def _claim_at_once(self, asking: Asking) -> None:
        self._claim(asking.key, asking.claims_for, asking.heard)

    def _looked(self, asking: Asking, reply: bytes | Silence | None) -> None:
        if isinstance(reply, bytes) and reply[:1] != MARKED:
            asking.found(reply)
        elif reply is None:
            self._claim_at_once(asking)
        else:
            asking.heard(_answer(reply))

    def _claim(self, key: str, seconds: float, told: Callable[[Answer], None]) -> None:
        if not self._self:  # in the process that asks, whatever it was forked from
            self._self = CLAIM + secrets.token_hex(12).encode()
        token = b"%b-%x" % (self._self, next(self._numbers))
        self._claims.ask(key, token, _milliseconds(seconds), partial(_claimed, told, token))

    async def claim(self, key: str, *, seconds: float) -> Answer:
        """As `ask`, for who can wait, and does not expect the value to be there."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._claim(key, seconds, partial(_settle, answer))
        return await answer

    async def fill(self, key: str, expected: bytes, raw: bytes, *, seconds: float) -> bool:
        """Store it if what was seen before is still in its place; says whether it was."""
        return await self.run(FILL_SCRIPT, key, expected, raw, _milliseconds(seconds)) == 1

    async def release(self, key: str, claim: bytes) -> None:
        """Give up a claim, so that the next one need not wait for its end."""
        await self.run(RELEASE_SCRIPT, key, claim)

    async def close(self) -> None:
        """Close all connections."""
        await self.scripts.close()

    async def run(self, script: str, key: str, *args: bytes | int) -> object:
        """The reply of a Lua script over one key, or the silence of Redis."""
        return await self.scripts.run(script, (key,), *args)


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def _claimed(told: Callable[[Answer], None], token: bytes, reply: bytes | Silence | None) -> None:
    told(Answer(State.CLAIMED, token) if reply is None else _answer(reply))


def _answer(reply: bytes | Silence) -> Answer:
    if isinstance(reply, Silence):
        return DOWN
    if reply[:1] != MARKED:
        return Answer(FOUND, reply)
    if reply == NEGATIVE:
        return ABSENT
    return BUSY if reply.startswith(CLAIM) else Answer(FOUND, reply)


def _settle(waiting: asyncio.Future[Answer], answer: Answer) -> None:
    if not waiting.done():
        waiting.set_result(answer)
