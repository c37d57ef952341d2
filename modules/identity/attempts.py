"""Login attempts are counted per account and per client address, refused logout tokens per address; failures are
followed by a growing delay.

An attempt counts as failed when it begins, so that many at the same moment cannot slip past the count; a success, or
an error that is ours, takes it back. A caller who leaves before the answer does not. Whether the account exists plays
no part in it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import MutableMapping
from ipaddress import IPv6Network, ip_address
from typing import NamedTuple, cast

from cachetools import TTLCache

from coffee_core.cache.redis_tier import RedisTier
from coffee_core.domain.errors import LimitError
from modules.identity.settings import IdentitySettings

ATTEMPT_SCRIPT = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local kept = redis.call('HMGET', KEYS[1], 'failures', 'until')
local failures, till = tonumber(kept[1] or '0'), tonumber(kept[2] or '0')
if now < till then return till - now end
failures = failures + 1
local delay = 0
if failures >= tonumber(ARGV[1]) then
  delay = math.min(tonumber(ARGV[2]) * 2 ^ math.min(failures - ARGV[1], 60), tonumber(ARGV[3]))
end
redis.call('HSET', KEYS[1], 'failures', failures, 'until', now + delay)
redis.call('PEXPIRE', KEYS[1], delay + ARGV[4])
return 0
"""
BACK_SCRIPT = """
local failures = tonumber(redis.call('HGET', KEYS[1], 'failures') or '0')
if failures <= 1 or ARGV[1] == '1' then return redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'failures', failures - 1)
if failures - 1 < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], 'until', 0) end
return 0
"""


class Kept(NamedTuple):
    """Failures so far, and the moment (on the monotonic clock) before which no attempt is taken."""

    failures: int
    until: float


class Counted(NamedTuple):
    """One thing that attempts are counted for."""

    key: str
    free: int
    """Failures before the first delay."""
    what: str = "logins"
    """In words for the caller."""


class Attempts:
    """Counts in Redis, for all processes; in process where there is none, or it does not answer."""

    def __init__(self, settings: IdentitySettings, redis: RedisTier | None) -> None:
        self._settings = settings
        self._redis = redis
        lifetime = settings.login_forget_seconds + settings.login_delay_max_seconds
        self._kept = cast("MutableMapping[str, Kept]", TTLCache(settings.login_keys_max, lifetime))

    def account(self, email: str) -> Counted:
        """Of a normalised address, which does not go to Redis in clear."""
        hashed = hashlib.sha256(email.encode()).hexdigest()[:32]
        return Counted(f"login:account:{hashed}", self._settings.login_account_attempts)

    def address(self, client: str) -> Counted | None:
        """Of the client's address; None where it is not known."""
        subscriber = _subscriber(client)
        return Counted(f"login:address:{subscriber}", self._settings.login_address_attempts) if subscriber else None

    def logout_address(self, client: str) -> Counted | None:
        """Of who sends logout tokens: counted beside the logins, so that neither keeps the other out."""
        subscriber, free = _subscriber(client), self._settings.login_address_attempts
        return Counted(f"logout:address:{subscriber}", free, "logout tokens") if subscriber else None

    async def begin(self, *counted: Counted) -> None:
        """Count an attempt for each; `LimitError` tells how long to wait, the same for all reasons."""
        begun: list[Counted] = []
        for each in counted:
            wait = await self._attempt(each)
            if wait > 0:
                await self.take_back(*begun)
                raise LimitError(f"too many failed {each.what}: wait before the next one", retry_after=wait)
            begun.append(each)

    async def take_back(self, *counted: Counted, whole: bool = False) -> None:
        """This attempt was no failure; `whole`: nor shall those before it count any more."""
        for each in counted:
            reply = None
            if self._redis is not None:
                reply = await self._redis.run(BACK_SCRIPT, each.key, int(whole), each.free)
            if not isinstance(reply, int):
                kept = self._kept.pop(each.key, None)
                if kept is not None and kept.failures > 1 and not whole:
                    failures = kept.failures - 1
                    self._kept[each.key] = Kept(failures, 0.0 if failures < each.free else kept.until)

    async def _attempt(self, each: Counted) -> float:
        """Seconds to wait; 0: go on, and it is counted."""
        settings = self._settings
        if self._redis is not None:
            milliseconds = [
                int(seconds * 1000)
                for seconds in (
                    settings.login_delay_seconds,
                    settings.login_delay_max_seconds,
                    settings.login_forget_seconds,
                )
            ]
            reply = await self._redis.run(ATTEMPT_SCRIPT, each.key, each.free, *milliseconds)
            if isinstance(reply, int):
                return reply / 1000
        now = time.monotonic()
        kept = self._kept.get(each.key) or Kept(0, 0.0)
        if now < kept.until:
            return kept.until - now
        failures = kept.failures + 1
        self._kept[each.key] = Kept(failures, now + self.delay(each, failures))
        return 0.0

    def delay(self, each: Counted, failures: int) -> float:
        """Seconds after so many failures in a row."""
        settings = self._settings
        if failures < each.free:
            return 0.0
        doubled: float = settings.login_delay_seconds * 2.0 ** min(failures - each.free, 60)
        return min(doubled, settings.login_delay_max_seconds)


def _subscriber(client: str) -> str:
    """What one subscriber has: an IPv4 address, or an IPv6 /64. Empty for what is no address."""
    try:
        address = ip_address(client)
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None) or address
    return str(mapped) if mapped.version == 4 else str(IPv6Network((int(mapped), 64), strict=False))
