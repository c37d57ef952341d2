"""The canary session: it is revoked several times a second, as any session might be, to see how long that takes."""

from __future__ import annotations

import time

from coffee_core.cache.two_tier import TwoTierCache
from gateway.verdict.session import PREFIX, Session

KEY = PREFIX + "!canary"
"""No token can name it: `!` is in no id."""


class CanarySession:
    """Implements `coffee_core.cache.link.Canary`."""

    def __init__(self, sessions: TwoTierCache[Session]) -> None:
        self._sessions = sessions

    def plant(self) -> None:
        """A session like others, in this process alone."""
        self._sessions.keep(KEY, Session("0", "0", "0", time.time() + 60))

    def revoke(self) -> bool:
        """What a push of its key does; whether a request would find it gone."""
        self._sessions.forget(KEY)
        return self._sessions.peek(KEY) is None
