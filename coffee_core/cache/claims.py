"""Questions to Redis about single keys: those of one turn of the event loop go in one round trip.

Many sessions that are met for the first time come together, after a restart above all; a round trip costs far more than
one more key in it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

from redis.asyncio import RedisCluster

from coffee_core.cache.redis_scripts import DOWN, RedisScripts, Silence

CLAIM_SCRIPT = """
local answer = {}
for i, key in ipairs(KEYS) do
  local value = redis.call('GET', key)
  if not value then redis.call('SET', key, ARGV[2 * i - 1], 'PX', ARGV[2 * i]) end
  answer[i] = value
end
return answer
"""

AT_ONCE = 200
"""Keys in one script: the server does nothing else meanwhile."""

Told: TypeAlias = Callable[[bytes | Silence | None], None]
"""Gets what is stored under the key; `None`: nothing was, and now it is the token. It may not raise."""


class _Asked(NamedTuple):
    key: bytes
    token: bytes
    milliseconds: bytes
    told: Told


class Claims:
    """Gathers and asks. On a cluster each key is asked by itself: they lie on different servers."""

    def __init__(self, scripts: RedisScripts) -> None:
        self._scripts = scripts
        self._at_once = 1 if isinstance(scripts.redis, RedisCluster) else AT_ONCE
        self._asked: list[_Asked] = []

    def ask(self, key: str, token: bytes, milliseconds: int, told: Told) -> None:
        """Ask with the next turn of the loop; the token stays for so long."""
        asked = _Asked(key.encode(), token, b"%d" % milliseconds, told)
        if not self._asked:
            asyncio.get_running_loop().call_soon(self._turn)
        self._asked.append(asked)

    def _turn(self) -> None:
        asked, self._asked = self._asked, []
        for start in range(0, len(asked), self._at_once):
            part = asked[start : start + self._at_once]
            arguments = [argument for each in part for argument in (each.token, each.milliseconds)]
            self._scripts.ask(CLAIM_SCRIPT, [each.key for each in part], arguments, partial(_tell, part))


def _tell(asked: Sequence[_Asked], replies: object) -> None:
    told = replies if isinstance(replies, list) and len(replies) == len(asked) else [DOWN] * len(asked)
    for each, reply in zip(asked, told, strict=True):
        each.told(reply if reply is None or isinstance(reply, bytes) else DOWN)
