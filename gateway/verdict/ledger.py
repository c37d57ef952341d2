"""Quotas that all processes share: one script, one round trip for all claims of a moment."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from redis.asyncio import RedisCluster

from coffee_core.cache.redis_scripts import RedisScripts
from gateway.verdict.count import AT_ONCE, Grant
from gateway.verdict.quota import Kind, Quota

CLAIM_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local answer = {}
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 7
  local kind, amount, period = ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local chunk, need = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local want, back = tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7])
  local stored = redis.call('HMGET', key, 'here', 'before', 'at')
  local here, before, since = tonumber(stored[1]), tonumber(stored[2]) or 0, tonumber(stored[3])
  local free, index, passed
  if kind == 'bucket' then
    free = amount
    if here then free = math.min(amount, here + math.max(0, now - since) * amount / period + back) end
  else
    index = math.floor(now / period)
    if not here then here, since = 0, index end
    if index < since then index = since end
    if index == since + 1 then before, here = here, 0 elseif index > since then before, here = 0, 0 end
    here = math.max(0, here - back)
    passed = math.min(1, math.max(0, now / period - index))
    free = amount - here - before * (1 - passed)
  end
  local ahead = math.min(want, math.max(chunk, math.floor(free * AT_ONCE)))
  local tokens = math.max(0, math.min(math.floor(free), math.max(need, ahead)))
  local wait = 0
  if kind == 'bucket' then
    if tokens < need then wait = (math.min(chunk, amount) - free + tokens) * period / amount end
    redis.call('HSET', key, 'here', free - tokens, 'at', now)
    redis.call('PEXPIRE', key, period + 1000)
  else
    here = here + tokens
    if tokens < need then
      if here + 1 <= amount and before > 0 then
        wait = 1 - (amount - here - 1) / before - passed
      else
        wait = 1 - passed + math.max(0, 1 - (amount - 1) / here)
      end
      wait = wait * period
    end
    redis.call('HSET', key, 'here', here, 'before', before, 'at', index)
    redis.call('PEXPIRE', key, 2 * period + 1000)
  end
  answer[#answer + 1] = tokens
  answer[#answer + 1] = math.max(0, math.floor(free - tokens))
  answer[#answer + 1] = math.max(0, math.ceil(wait))
end
return answer
""".replace("AT_ONCE", str(AT_ONCE))
"""A bucket that is not there is full; a window that is not there is empty."""

PRESENT_SCRIPT = """
local now = redis.call('TIME')[1]
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
"""
LEFT_SCRIPT = "return redis.call('ZREM', KEYS[1], ARGV[1])"
PROCESSES = "limit:processes"
PRESENT_FOR = 10
"""Seconds after which a process that says nothing is counted no more."""

PARTS = 16
"""Of the keys in a cluster: each part lies on one server and is asked in a round trip of its own, all at once."""


class Claim(NamedTuple):
    """One process's wish for tokens of one key."""

    key: str
    quota: Quota
    need: int
    """For requests that wait."""
    want: int
    """Ahead of requests that are likely to come."""
    back: int
    """Given back, unused."""


class RedisLedger:
    """Counts in Redis; `None` for an answer says that it is gone, and that the caller has to count by itself."""

    def __init__(self, scripts: RedisScripts) -> None:
        self.processes = 1
        """How many share the quotas, as far as is known."""
        self._scripts = scripts
        self._parts = PARTS if isinstance(scripts.redis, RedisCluster) else 1
        self._name = secrets.token_hex(8).encode()

    def key(self, quota: Quota, caller: str) -> str:
        """Where a caller's count lies. The part in braces keeps a script's keys on one server of a cluster."""
        part = zlib.crc32(caller.encode()) % self._parts
        return f"limit:{{{part}}}:{quota.name}:{caller}"

    async def claim(self, claims: Sequence[Claim]) -> list[Grant] | None:
        """The grants in the order of the claims, which are of one part each (`parts`)."""
        arguments: list[bytes | int] = []
        for _, quota, need, want, back in claims:
            period = ceil(quota.seconds * 1000)
            kind = b"bucket" if quota.kind is Kind.BUCKET else b"window"
            arguments += (kind, quota.amount, period, quota.chunk, need, want, back)
        reply = await self._scripts.run(CLAIM_SCRIPT, [claim.key for claim in claims], *arguments)
        if not isinstance(reply, list) or len(reply) != 3 * len(claims):
            return None
        numbers = iter(reply)
        return [
            Grant(tokens, level, wait / 1000) for tokens, level, wait in zip(numbers, numbers, numbers, strict=True)
        ]

    def part(self, claim: Claim) -> str:
        """What claims must have in common to be asked together."""
        return claim.key[: claim.key.index("}")]

    async def present(self) -> bool:
        """Say that this process is there, and learn how many are; whether Redis answered."""
        reply = await self._scripts.run(PRESENT_SCRIPT, (PROCESSES,), self._name, PRESENT_FOR)
        if isinstance(reply, int):
            self.processes = max(1, reply)
            return True
        return False

    async def absent(self) -> None:
        """Say that it is not any more: the others may keep what it might have kept. Who cannot say it is missed after
        `PRESENT_FOR`, and so is who counts in a cluster: its client may have to learn the servers anew for this last
        word, and what the time-out cuts off there stays open."""
        if self._parts == 1:
            await self._scripts.run(LEFT_SCRIPT, (PROCESSES,), self._name)
