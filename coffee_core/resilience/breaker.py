"""The circuit breaker's counting: after too many failures nobody asks for a while, then a few try.

A success costs one addition. Everything else happens when a request fails, once in a while in the sweep, or while the
breaker is not closed. `coffee_core.resilience.circuit` puts it around a call; a data plane uses it as it is.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple, Protocol

log: Final = logging.getLogger(__name__)

_SLICES: Final = 10
"""The window moves on by this part of it."""


class Clock(Protocol):
    """Seconds that never go back; as coarse as its owner likes."""

    @property
    def now(self) -> float:
        """The time."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When a breaker opens, and how it closes."""

    window: float = 10.0
    """Seconds: the recent past that it judges by."""
    requests: int = 20
    """Fewer in the window say nothing: it stays closed."""
    ratio: float = 0.5
    """The part of them that must have failed; 2 never opens it."""
    open: float = 5.0
    """Seconds for which it refuses everything; then it is half open. Probes that have not ended after as long again are
    not waited for."""
    probes: int = 3
    """Calls that pass while it is half open: if all are answered it closes, the first failure opens it again."""


class State(Enum):
    """What a breaker does with requests."""

    CLOSED = "closed"
    """Lets all pass."""
    OPEN = "open"
    """Lets none pass."""
    HALF_OPEN = "half_open"
    """Lets a few pass, whose outcome decides."""


class _Mark(NamedTuple):
    """The totals at a time."""

    time: float
    requests: int
    failures: int


class Breaker:
    """Counts how requests ended, and opens when too large a part of the recent ones failed.

    `closed` and `answers` are read and written by the hot path; the rest goes through methods.
    """

    __slots__ = (
        "_broken",
        "_clock",
        "_good",
        "_marks",
        "_name",
        "_policy",
        "_probes",
        "_until",
        "answers",
        "closed",
        "failures",
        "opened",
        "refused",
        "state",
    )

    def __init__(self, name: str, policy: BreakerPolicy, clock: Clock) -> None:
        self._name = name
        self._policy = policy
        self._clock = clock
        self.closed = True
        """`state` is CLOSED: the hot path's question."""
        self.state = State.CLOSED
        self.answers = 0
        """Requests that were answered, ever. The forwarding adds to it."""
        self.failures = 0
        """Requests that were not, ever."""
        self.opened = 0
        """How often it has opened."""
        self.refused = 0
        """Requests that it did not let pass."""
        self._broken = 0
        """Requests that count as answered and as failed."""
        self._marks = deque([_Mark(0.0, 0, 0)])  # what fails before the first sweep counts as well
        self._until = 0.0
        self._probes = 0
        self._good = 0

    @property
    def retry_after(self) -> int:
        """Seconds until it is worth asking again, at least one."""
        return max(1, math.ceil(self._until - self._clock.now))

    @property
    def due(self) -> bool:
        """A probe may pass now."""
        if self.state is State.HALF_OPEN and self._probes + self._good < self._policy.probes:
            return True
        return self._clock.now >= self._until

    def admit(self) -> bool:
        """Whether this request may pass as a probe, while the breaker is not closed. One that may is ended by exactly
        one of `probe_answered`, `failed` and `probe_left`."""
        now = self._clock.now
        if now >= self._until:
            if self.state is State.OPEN:
                self._become(State.HALF_OPEN)
                self._good = 0
            self._probes = 0  # those that have not ended by now are not waited for: their clients may dawdle
            self._until = now + self._policy.open
        if self.state is State.HALF_OPEN and self._probes + self._good < self._policy.probes:
            self._probes += 1
            return True
        self.refused += 1
        return False

    def probe_answered(self) -> None:
        """A probe was answered; the last of them closes the breaker."""
        if self.state is not State.HALF_OPEN:
            return
        self._probes = max(0, self._probes - 1)
        self._good += 1
        if self._good >= self._policy.probes:
            self.forget()
            self._become(State.CLOSED)

    def probe_left(self) -> None:
        """A probe's client has gone, or its answer says nothing of the upstream: another may try."""
        if self.state is State.HALF_OPEN:
            self._probes = max(0, self._probes - 1)

    def failed(self, *, probe: bool, begun: bool = False) -> None:
        """A request was not answered, or not to its end (`begun`).

        A probe that fails opens the breaker again; what was sent before it opened, and ends now, tells nothing new.
        """
        self.failures += 1
        self._broken += begun
        if self.state is State.HALF_OPEN:
            if probe:
                self._open()
        elif self.state is State.CLOSED and self._too_many():
            self._open()

    def hold_open(self, seconds: float) -> None:
        """Somebody else has seen it fail: nobody asks for so long."""
        self._open()
        self._until = self._clock.now + seconds

    def forget(self) -> None:
        """What was counted so far is too long ago to say anything."""
        self._marks.clear()
        self._marks.append(self._mark())

    def sweep(self, now: float) -> None:
        """The window moves on."""
        window = self._policy.window
        if now - self._marks[-1].time >= window / _SLICES:
            self._marks.append(self._mark())
        while len(self._marks) > 1 and now - self._marks[1].time >= window:
            self._marks.popleft()

    def _too_many(self) -> bool:
        since = self._marks[0]
        failures = self.failures - since.failures
        requests = self._requests() - since.requests
        policy = self._policy
        return requests >= policy.requests and failures >= requests * policy.ratio

    def _requests(self) -> int:
        return self.answers + self.failures - self._broken

    def _mark(self) -> _Mark:
        return _Mark(self._clock.now, self._requests(), self.failures)

    def _open(self) -> None:
        self._until = self._clock.now + self._policy.open
        self.opened += 1
        self._become(State.OPEN)

    def _become(self, state: State) -> None:
        log.warning("the breaker of %s is %s", self._name, state.value.replace("_", " "))
        self.state = state
        self.closed = state is State.CLOSED
