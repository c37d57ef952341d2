"""Who has how much of one quota: decided in this process, settled with the others in the background.

With a shared ledger a process takes tokens for a caller *before* it lets requests pass (a lease): the sum of what all
processes let pass is never above the quota. It asks for the next ones while it still has some, so that a decision
waits for Redis only where a caller is new or has used up what there was. What is not used goes back.

Without Redis the process counts alone; while Redis does not answer it counts a share, one part for each process.
"""

from __future__ import annotations

from typing import Final, Protocol

from gateway.verdict.count import Count, Grant
from gateway.verdict.ledger import Claim
from gateway.verdict.quota import Fields, Quota

ASK: Final = float("-inf")
"""Answer of `take`: this process has none left, and only the ledger knows whether there are more."""
AHEAD: Final = 0.1
"""Seconds of a caller's requests that are taken ahead, and of his silence after which they go back."""
FORGET_AFTER: Final = 10.0
"""Seconds of silence after which the rest goes back as well."""


class Settling(Protocol):
    """What a meter needs of the one that settles leases with the ledger."""

    @property
    def alone(self) -> bool:
        """Whether this process has to count by itself, now."""
        ...

    @property
    def processes(self) -> int:
        """How many share the quotas."""
        ...

    def key(self, quota: Quota, caller: str) -> str:
        """Where the ledger has a caller's count."""
        ...

    def ask(self, lease: Lease) -> None:
        """Settle this lease soon."""
        ...


class Lease:
    """What this process holds of one caller's quota. Times are monotonic."""

    __slots__ = (
        "asked",
        "asked_at",
        "at",
        "back",
        "count",
        "key",
        "level",
        "low",
        "need",
        "quota",
        "reserve",
        "tokens",
        "until",
        "used",
    )

    def __init__(self, quota: Quota, key: str, reserve: int, now: float) -> None:
        self.quota = quota
        self.key = key
        self.reserve = reserve
        self.tokens = 0
        self.low = -1
        """At so many tokens the next ones are asked for; below 0: when they are needed, not before."""
        self.level = 0
        """What the ledger had left for others when it was last asked."""
        self.at = now
        """When it was last used."""
        self.until = now
        """Until then there is nothing."""
        self.asked = False
        self.asked_at = now
        self.used = 0
        """Since it was last asked for."""
        self.need = 0
        """Requests that wait for a token."""
        self.back = 0
        """To be given back."""
        self.count: Count | None = None
        """Of this process alone, while there is no ledger."""

    def claim(self, now: float) -> Claim:
        """The wish for the ledger; what is held is not asked for again."""
        want = 0
        if self.reserve and (self.used or self.need):
            demand = int(self.used * AHEAD / max(0.005, now - self.asked_at))
            want = max(self.reserve, demand) - self.tokens + self.need
        claim = Claim(self.key, self.quota, self.need, max(0, want), self.back)
        self.used = self.back = self.need = 0
        self.asked_at = now
        return claim

    def settle(self, grant: Grant, now: float) -> None:
        """What the ledger said."""
        self.asked = False
        self.tokens += grant.tokens
        self.level = grant.level
        self.low = self.tokens // 2 if self.reserve else -1
        if grant.wait > 0:
            self.until = now + grant.wait

    def give_back(self, keep: int) -> None:
        """All but so many."""
        self.back += self.tokens - keep
        self.tokens = keep
        self.low = keep // 2 if self.reserve else -1
        self.used = 0


class Meter:
    """One quota, for many callers. Their number is bounded: the one that was met first is forgotten first."""

    __slots__ = ("_fields", "_leases", "_max", "_settling", "lines", "pairs", "quota", "refused")

    def __init__(self, quota: Quota, settling: Settling | None = None, max_callers: int = 100_000) -> None:
        self.quota = quota
        self.refused = 0
        """Requests, since the start."""
        self._settling = settling
        self._leases: dict[str, Lease] = {}
        self._max = max_callers
        self._fields = Fields(quota)
        self.lines = self._fields.lines
        self.pairs = self._fields.pairs

    def __len__(self) -> int:
        """Callers that are known."""
        return len(self._leases)

    def take(self, caller: str, now: float) -> float:
        """One token: what is left, or a negative number, the seconds until it is worth asking again (nothing is taken
        then), or `ASK`.
        """
        left = self.at_hand(caller, now)
        if left >= 0:
            return left
        return self._dry(self._leases.get(caller) or self._open(caller, now), now)

    def at_hand(self, caller: str, now: float) -> float:
        """One of the tokens that this process holds for the caller: what is left, or -1 if it holds none. That is no
        refusal."""
        lease = self._leases.get(caller)
        if lease is None or not lease.tokens:
            return -1.0
        lease.tokens = tokens = lease.tokens - 1
        lease.used += 1
        lease.at = now
        if tokens <= lease.low and not lease.asked and self._settling is not None:
            self._settling.ask(lease)
        return lease.level + tokens

    def lease(self, caller: str, now: float) -> Lease:
        """The caller's."""
        return self._leases.get(caller) or self._open(caller, now)

    def give_back(self, caller: str) -> None:
        """One token of a request that another quota has refused."""
        lease = self._leases.get(caller)
        if lease is not None:
            lease.tokens += 1

    def forget(self, now: float) -> None:
        """A part of the callers, those that were met first: who has been silent is forgotten, the others stay."""
        for caller in list(zip(self._leases, range(100 + len(self._leases) // 100), strict=False)):
            lease = self._leases.pop(caller[0])
            if now - lease.at < FORGET_AFTER or lease.until > now:
                self._leases[caller[0]] = lease
            else:
                self._return(lease)

    def _open(self, caller: str, now: float) -> Lease:
        if len(self._leases) >= self._max:
            self._return(self._leases.pop(next(iter(self._leases))))
        settling, key, reserve = self._settling, caller, 0
        if settling is not None:
            key, reserve = settling.key(self.quota, caller), self.quota.reserve(settling.processes)
        lease = self._leases[caller] = Lease(self.quota, key, reserve, now)
        return lease

    def _return(self, lease: Lease) -> None:
        if lease.tokens and self._settling is not None:
            lease.give_back(0)
            self._settling.ask(lease)

    def _dry(self, lease: Lease, now: float) -> float:
        if now < lease.until:
            self.refused += 1
            return now - lease.until
        settling = self._settling
        if settling is not None and not settling.alone:
            lease.count = None
            return ASK
        count = lease.count
        if count is None:
            share = 1.0 if settling is None else 1.0 / settling.processes
            count = lease.count = Count(self.quota, now, share)
        lease.at = now
        grant = count.claim(1, self.quota.reserve(1), now)
        if grant.tokens:
            lease.tokens = grant.tokens - 1
            lease.level = grant.level
            return lease.level + lease.tokens
        self.refused += 1
        return -max(grant.wait, 1e-3)
