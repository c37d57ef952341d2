"""What a limit says: so much in so many seconds, of whom, and how it is told to the caller.

Header fields: draft-ietf-httpapi-ratelimit-headers-11 (`RateLimit-Policy`, `RateLimit`) and RFC 9110 section 10.2.3
(`Retry-After`).
"""

from __future__ import annotations

from enum import Enum
from math import ceil
from typing import Final, NamedTuple


class Kind(Enum):
    """How it is counted."""

    BUCKET = "bucket"
    """Token bucket: `amount` at once, and it fills again evenly within `seconds`."""
    WINDOW = "window"
    """Sliding window: at most `amount` in any `seconds`. The window before this one counts by the part of it that is
    still inside, as if its requests had come evenly."""


class Per(Enum):
    """Whose requests are counted together."""

    ADDRESS = "address"
    """One client address; of IPv6 one network of 64 bits."""
    USER = "user"
    PARTNER = "partner"
    PLAN = "plan"
    """Everybody on one plan."""
    ROUTE = "route"
    """Everybody."""


IN_RESERVE = 0.01
"""Part of a quota that processes may hold without using it."""


class Quota(NamedTuple):
    """One limit."""

    name: str
    """In headers, in metrics and in keys: letters, digits and `-`."""
    amount: int
    seconds: float
    kind: Kind = Kind.BUCKET

    @property
    def chunk(self) -> int:
        """What one process takes at a time when little is left, so that it need not ask for each request."""
        return max(1, self.amount // 500)

    def reserve(self, processes: int) -> int:
        """What one of so many processes may keep while its caller is silent; 0: it has to ask for each request."""
        return int(self.amount * IN_RESERVE / max(1, processes - 1))


SAID: Final = 4096
"""Lines that are remembered, by what is left."""


class Fields:
    """The header fields of one quota."""

    __slots__ = ("_both", "_quota", "_said", "_slow")

    def __init__(self, quota: Quota) -> None:
        name = quota.name.encode()
        self._quota = quota
        self._said: dict[float, bytes] = {}
        self._slow = quota.seconds / quota.amount if quota.kind is Kind.BUCKET else 0.0
        self._both = b'ratelimit-policy: "%b";q=%d;w=%d\r\nratelimit: "%b";r=' % (
            name,
            quota.amount,
            max(1, ceil(quota.seconds)),
            name,
        )

    def lines(self, left: float) -> bytes:
        """Both lines: the policy, and what is left of it until it is whole again."""
        said = self._said.get(left)
        if said is None:
            if len(self._said) >= SAID:
                self._said.clear()
            said = self._said[left] = self._line(left)
        return said

    def _line(self, left: float) -> bytes:
        t = (self._quota.amount - left) * self._slow if self._slow else self._quota.seconds
        return b"%b%d;t=%d\r\n" % (self._both, left, ceil(t))

    def pairs(self) -> list[tuple[bytes, bytes]]:
        """The same for a refusal: nothing is left."""
        lines = self.lines(0).split(b"\r\n")[:-1]
        return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
