"""Bloom filters: "certainly not" or "perhaps", in few bits, in this process or shared in Redis.

    seen = RedisBloom(RedisScripts.open(url), "seen-urls", BloomSize(capacity=1_000_000, error_rate=0.01))
    if not await seen.contains(url):      # certainly new
        await seen.add(url)

Both kinds set the same bits for the same items (BLAKE2b, double hashing), so that one can be loaded from the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from coffee_core.cache.redis_scripts import RedisScripts
from coffee_core.domain.errors import UnavailableError

MAX_BITS = 2**32
"""Of a string in Redis; in process the same."""
AT_ONCE = 200
"""Items in one script: a server does nothing else meanwhile."""

ADD_SCRIPT = """
local added, new = {}, 0
for item = 1, #ARGV, ARGV_EACH do
  new = 0
  for at = item, item + ARGV_EACH - 1 do
    if redis.call('SETBIT', KEYS[1], ARGV[at], 1) == 0 then new = 1 end
  end
  added[#added + 1] = new
end
return added
"""
CONTAINS_SCRIPT = """
local found = {}
for item = 1, #ARGV, ARGV_EACH do
  local all = 1
  for at = item, item + ARGV_EACH - 1 do
    if redis.call('GETBIT', KEYS[1], ARGV[at]) == 0 then all = 0 break end
  end
  found[#found + 1] = all
end
return found
"""
LOAD_SCRIPT = "return redis.call('GET', KEYS[1]) or ''"
CLEAR_SCRIPT = "return redis.call('DEL', KEYS[1])"


@dataclass(frozen=True, slots=True, kw_only=True)
class BloomSize:
    """How many items at which rate of false "perhaps". Beyond the capacity the rate grows, and nothing else breaks."""

    capacity: int
    error_rate: float = 0.01

    def __post_init__(self) -> None:
        if self.capacity < 1 or not 0 < self.error_rate < 1:
            raise ValueError(f"a filter has room for at least one item and a rate between 0 and 1, not {self}")
        if self.bits > MAX_BITS:
            raise ValueError(f"{self} takes {self.bits} bits, and at most {MAX_BITS} are allowed: use several")

    @property
    def bits(self) -> int:
        """The optimum, in whole bytes: 9.6 for each item at 1 %."""
        bits = math.ceil(-self.capacity * math.log(self.error_rate) / math.log(2) ** 2)
        return (bits + 7) // 8 * 8

    @property
    def hashes(self) -> int:
        """Bits that are set for one item: 7 at 1 %."""
        return max(1, round(self.bits / self.capacity * math.log(2)))

    def places(self, item: str | bytes) -> Iterator[int]:
        """The bits of one item."""
        digest = blake2b(item.encode() if isinstance(item, str) else item, digest_size=16).digest()
        place, step = int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big") | 1
        for each in range(self.hashes):
            yield (place + each * step + each * each * each) % self.bits

    def estimate(self, ones: int) -> int:
        """How many items set so many bits, roughly."""
        if ones >= self.bits:
            return self.capacity * 10  # full: nobody can tell
        return round(-self.bits / self.hashes * math.log1p(-ones / self.bits))


class BloomFilter:
    """In this process: `capacity * 1.2` bytes at 1 %."""

    def __init__(self, size: BloomSize, bits: bytes = b"") -> None:
        if len(bits) > size.bits // 8:
            raise ValueError(f"{len(bits)} bytes are no filter of {size.bits} bits")
        self.size = size
        self._bits = bytearray(bits.ljust(size.bits // 8, b"\0"))

    def add(self, item: str | bytes) -> bool:
        """Whether it was certainly not there before."""
        new = False
        for place in self.size.places(item):
            mask = 0x80 >> (place & 7)
            if not self._bits[place >> 3] & mask:
                self._bits[place >> 3] |= mask
                new = True
        return new

    def __contains__(self, item: str | bytes) -> bool:
        """False: it was certainly never added. True: perhaps."""
        return all(self._bits[place >> 3] & 0x80 >> (place & 7) for place in self.size.places(item))

    def count(self) -> int:
        """How many items were added, roughly."""
        return self.size.estimate(int.from_bytes(self._bits, "big").bit_count())

    def __bytes__(self) -> bytes:
        """To be stored; `BloomFilter(size, bits)` reads it."""
        return bytes(self._bits)


class RedisBloom:
    """Shared by all processes: one string of bits in Redis. One round trip for up to 200 items.

    `contains` answers "perhaps" while Redis is silent, because that is never wrong; `add` raises `UnavailableError`,
    because an item that is not stored would later be "certainly not".
    """

    def __init__(self, scripts: RedisScripts, name: str, size: BloomSize, *, prefix: str = "bloom:") -> None:
        self.size = size
        self.unanswered = 0
        """Questions that got "perhaps" because Redis was silent, ever."""
        self._scripts = scripts
        self._key = f"{prefix}{name}:{size.bits}:{size.hashes}"  # another size is another filter
        each = str(size.hashes)
        self._add = ADD_SCRIPT.replace("ARGV_EACH", each)
        self._contains = CONTAINS_SCRIPT.replace("ARGV_EACH", each)

    async def add(self, item: str | bytes) -> bool:
        """Whether it was certainly not there before."""
        return (await self.add_all([item]))[0]

    async def add_all(self, items: Sequence[str | bytes]) -> list[bool]:
        """The same for each."""
        added: list[bool] = []
        for at in range(0, len(items), AT_ONCE):
            reply = await self._ask(self._add, items[at : at + AT_ONCE])
            if reply is None:
                raise UnavailableError("the filter cannot be written; try again")
            added += reply
        return added

    async def contains(self, item: str | bytes) -> bool:
        """False: it was certainly never added. True: perhaps."""
        return (await self.contains_all([item]))[0]

    async def contains_all(self, items: Sequence[str | bytes]) -> list[bool]:
        """The same for each."""
        found: list[bool] = []
        for at in range(0, len(items), AT_ONCE):
            part = items[at : at + AT_ONCE]
            reply = await self._ask(self._contains, part)
            if reply is None:
                self.unanswered += len(part)
                reply = [True] * len(part)
            found += reply
        return found

    async def load(self) -> BloomFilter:
        """A copy in this process, as it is now."""
        bits = await self._scripts.run(LOAD_SCRIPT, (self._key,))
        if not isinstance(bits, bytes):
            raise UnavailableError("the filter cannot be read; try again")
        return BloomFilter(self.size, bits)

    async def clear(self) -> None:
        """Empty it."""
        if not isinstance(await self._scripts.run(CLEAR_SCRIPT, (self._key,)), int):
            raise UnavailableError("the filter cannot be emptied; try again")

    async def _ask(self, script: str, items: Sequence[str | bytes]) -> list[bool] | None:
        places = [place for item in items for place in self.size.places(item)]
        reply = await self._scripts.run(script, (self._key,), *places)
        return [bool(each) for each in reply] if isinstance(reply, list) else None
