"""`Cache-Status` (RFC 9211) for operators who ask for it: what the caches of the verdict did for this request.

One member for each cache, `gateway-session` and `gateway-plan`: `hit` if the process had it, else `fwd=miss` with
`detail=redis` or `detail=authority`, where it came from; `ttl` is for how many more seconds the process believes it,
below 0 where it stands in for an authority that is silent.
"""

from __future__ import annotations

import time

from coffee_core.cache.entry import CachedEntry
from gateway.verdict.exchange import Exchange
from gateway.verdict.plan import Grant
from gateway.verdict.session import Session

HEADER = b"x-bb-cache-status"
"""Any value asks for it; the header goes no further."""


def cache_status(x: Exchange, session: CachedEntry[Session], plan: CachedEntry[Grant]) -> bytes:
    """The line."""
    now = time.monotonic()
    told = b", ".join(
        b"gateway-%b; %b; ttl=%d" % (name, _how(entry, missed), entry.fresh_until - now)
        for name, entry, missed in ((b"session", session, x.missed[0]), (b"plan", plan, x.missed[1]))
    )
    return b"cache-status: %b\r\n" % told


def _how(entry: CachedEntry[Session] | CachedEntry[Grant], missed: bool) -> bytes:
    return b"fwd=miss; stored; detail=%b" % entry.source.encode() if missed else b"hit; detail=process"
