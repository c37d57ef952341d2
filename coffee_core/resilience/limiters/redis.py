"""Rate limits that all processes share: one script on Redis decides over all demands of a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from redis.asyncio import RedisCluster

from coffee_core.cache.redis_scripts import RedisScripts
from coffee_core.domain.errors import UnavailableError
from coffee_core.resilience.limiters.policy import (
    SLICES,
    Demand,
    RateLimiter,
    Standing,
    Taken,
    TokenBucket,
    check_apart,
)

TAKE_SCRIPT = """
local given, slices, now = tonumber(ARGV[1]), tonumber(ARGV[2]), nil
if given >= 0 then now = given else
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local all, plans = 1, {}
local spare = given >= 0 and 60000 or 0
local function whole(number) return string.format('%.0f', number) end

local function bucket(key, cost, burst, seconds)
  local each = seconds / burst
  local full_at = tonumber(redis.call('GET', key) or 0)
  if full_at > now + seconds then
    full_at = now + seconds
    redis.call('SET', key, whole(full_at), 'PX', math.ceil(seconds / 1000) + spare)
  end
  local debt = math.max(0, full_at - now)
  local wait = math.max(0, debt + cost * each - seconds)
  if wait < 1 then wait = 0 end
  local function take()
    if cost == 0 then return end
    debt = debt + cost * each
    redis.call('SET', key, whole(now + debt), 'PX', math.ceil(debt / 1000) + spare)
  end
  local function standing() return math.max(0, math.floor(burst - debt / each + 0.000001)), wait, debt end
  return wait == 0, take, standing
end

local function window(key, cost, limit, seconds)
  local slice = seconds / slices
  local index, used, numbers, counts = math.floor(now / slice), 0, {}, {}
  local lasts = math.ceil((seconds + slice) / 1000) + spare
  local stored = redis.call('HGETALL', key)
  for at = 1, #stored, 2 do
    local number, count = tonumber(stored[at]), tonumber(stored[at + 1])
    if number + slices < index then
      redis.call('HDEL', key, stored[at])
    else
      if number > index then
        redis.call('HDEL', key, stored[at])
        redis.call('HINCRBY', key, whole(index), count)
        redis.call('PEXPIRE', key, lasts)
        number = index
      end
      if not counts[number] then numbers[#numbers + 1] = number end
      counts[number] = (counts[number] or 0) + count
      used = used + count
    end
  end
  table.sort(numbers)
  local missing, wait = cost - (limit - used), 0
  for _, number in ipairs(numbers) do
    if missing <= 0 then break end
    missing = missing - counts[number]
    wait = (number + slices + 1) * slice - now
  end
  local newest = numbers[#numbers]
  local function take()
    if cost == 0 then return end
    redis.call('HINCRBY', key, whole(index), cost)
    redis.call('PEXPIRE', key, lasts)
    used, newest = used + cost, index
  end
  local function standing()
    local reset = 0
    if newest then reset = (newest + slices + 1) * slice - now end
    return math.max(0, limit - used), wait, reset
  end
  return wait == 0, take, standing
end

for at, key in ipairs(KEYS) do
  local name, cost, most, seconds = unpack(ARGV, 4 * at - 1, 4 * at + 2)
  local kind = name == 'bucket' and bucket or window
  local granted, take, standing = kind(key, tonumber(cost), tonumber(most), tonumber(seconds))
  plans[at] = {granted, take, standing}
  if not granted then all = 0 end
end
local reply = {all}
for _, plan in ipairs(plans) do
  if all == 1 then plan[2]() end
  local left, wait, reset = plan[3]()
  reply[#reply + 1] = plan[1] and 1 or 0
  reply[#reply + 1] = left
  reply[#reply + 1] = math.ceil(wait)
  reply[#reply + 1] = math.ceil(reset)
end
return reply
"""
"""ARGV: the time in microseconds or -1 for the server's, slices of a window; then for each key its kind, the cost, the
most at once, and the microseconds in which all of it comes back. A bucket is stored as the microsecond in which it will
be full, a window as a hash of slices. Whatever the clock does, nobody waits longer than from empty to full. It is the
server's own clock that ends keys: where another's counts they get a minute more.
"""


class _Asked(NamedTuple):
    key: str
    demand: Demand


class RedisLimiter:
    """A `RateLimiter` on one Redis or cluster. The server's clock counts, so clocks of processes may differ.

    While Redis does not answer, `fallback` decides (a `MemoryLimiter`: each process grants the whole limit); without
    one `UnavailableError` is raised, for limits that must never be passed. On a cluster, demands whose keys lie in one
    slot (a common `{tag}`) are decided together; others are asked for at the same time, and what one slot granted is
    not given back where another refused.
    """

    def __init__(
        self,
        scripts: RedisScripts,
        *,
        fallback: RateLimiter | None = None,
        prefix: str = "limit:",
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.fallbacks = 0
        """Calls that Redis did not answer, ever."""
        self._scripts = scripts
        self._fallback = fallback
        self._prefix = prefix
        self._clock = clock
        """Epoch seconds; unset, the server's."""

    async def take(self, *demands: Demand) -> Taken:
        """All or nothing, in one round trip."""
        check_apart(demands)
        if not demands:
            return Taken(True, ())
        asked = [_Asked(self._key(demand), demand) for demand in demands]
        groups = self._groups(asked)
        found = [await self._ask(asked)] if len(groups) == 1 else await asyncio.gather(*map(self._ask, groups))
        answers = [taken for taken in found if taken is not None]
        if len(answers) < len(found):
            self.fallbacks += 1
            if self._fallback is None:
                raise UnavailableError("the rate limit cannot be looked up; try again", retry_after=1)
            return await self._fallback.take(*demands)
        if len(groups) == 1:
            return answers[0]
        standings = {
            each.key: standing
            for group, taken in zip(groups, answers, strict=True)
            for each, standing in zip(group, taken.standings, strict=True)
        }
        return Taken(all(taken.granted for taken in answers), tuple(standings[each.key] for each in asked))

    def _key(self, demand: Demand) -> str:
        return f"{self._prefix}{'b' if isinstance(demand.policy, TokenBucket) else 'w'}:{demand.key}"

    def _groups(self, asked: list[_Asked]) -> list[list[_Asked]]:
        redis = self._scripts.redis
        if not isinstance(redis, RedisCluster) or len(asked) == 1:
            return [asked]
        groups: dict[int, list[_Asked]] = {}
        for each in asked:
            groups.setdefault(redis.keyslot(each.key), []).append(each)
        return list(groups.values())

    async def _ask(self, asked: Sequence[_Asked]) -> Taken | None:
        now = -1 if self._clock is None else int(self._clock() * 1e6)
        arguments: list[str | int] = [now, SLICES]
        for _, demand in asked:
            policy = demand.policy
            kind = "bucket" if isinstance(policy, TokenBucket) else "window"
            arguments += (kind, demand.cost, policy.most, max(1, round(policy.seconds * 1e6)))
        reply = await self._scripts.run(TAKE_SCRIPT, [each.key for each in asked], *arguments)
        if not isinstance(reply, list) or len(reply) != 1 + 4 * len(asked):
            return None
        standings = (
            Standing(bool(reply[at]), reply[at + 1], reply[at + 2] / 1e6, reply[at + 3] / 1e6)
            for at in range(1, len(reply), 4)
        )
        return Taken(reply[0] == 1, tuple(standings))
