"""Which web pages may call: CORS is the gateway's alone, and CSRF follows from the same list."""

from __future__ import annotations

import re
from collections.abc import Iterable

ORIGIN = re.compile(r"https?://(\*\.)?[a-z0-9.\-]+(:[0-9]{1,5})?").fullmatch
EXPOSED = (
    b"x-bb-requestid, etag, retry-after, ratelimit, ratelimit-policy, usage-cost, usage-remaining, usage-reset, "
    b"idempotent-replayed"
)
METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
HEADERS = (
    b"authorization, content-type, accept, accept-language, if-match, if-none-match, idempotency-key, x-csrf-token, "
    b"x-bb-requestid, x-bb-deviceid, x-bb-clientid, x-bb-clienttype, x-bb-version"
)
SAFE = frozenset((b"GET", b"HEAD", b"OPTIONS"))
REMEMBERED = 1024


class Cors:
    """Origins are exact (`https://app.example.com`) or any one name under a domain (`https://*.example.com`)."""

    def __init__(self, origins: Iterable[str], max_age: int) -> None:
        self._patterns = [_pattern(origin) for origin in origins]
        self._known: dict[bytes, bool] = {}
        self._max_age = max_age

    def allows(self, origin: bytes) -> bool:
        """Whether this origin may read answers and send credentials."""
        known = self._known.get(origin)
        if known is None:
            known = any(pattern.fullmatch(origin) is not None for pattern in self._patterns)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[origin] = known
        return known

    def pairs(self, origin: bytes) -> list[tuple[bytes, bytes]]:
        """Headers of an answer to this origin. Never `*`: credentials are allowed, so the origin is named."""
        if not self.allows(origin):
            return [(b"vary", b"Origin")]
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-expose-headers", EXPOSED),
            (b"vary", b"Origin"),
        ]

    def preflight(self, origin: bytes) -> list[tuple[bytes, bytes]]:
        """Headers of the answer to a preflight from an allowed origin."""
        return [
            *self.pairs(origin),
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", HEADERS),
            (b"access-control-max-age", b"%d" % self._max_age),
        ]

    def forgery(self, method: bytes, noted: dict[bytes, bytes], own: bytes, *, secure: bool = False) -> bool:
        """Whether a request that a *cookie* vouches for may have been made by a foreign page.

        A cookie goes along by itself, a header does not. So a method that changes something, or an upgrade (which
        CORS does not guard), has to come from our own origin (`own` is its `host[:port]`) or an allowed one; without
        an Origin, `Sec-Fetch-Site` has to say that no foreign site made it, or the header `x-csrf-token` (any value:
        a foreign page cannot send it without a preflight, which we refuse) has to be there. Where the request came by
        https (`secure`) our own origin is an https one: what stands at the other may be anybody's on the way.
        """
        if method in SAFE and b"upgrade" not in noted:
            return False
        origin = noted.get(b"origin")
        if origin is not None:
            scheme, _, host = origin.lower().partition(b"://")
            ours = host == own.lower() and (scheme == b"https" or not secure)
            return not ours and not self.allows(origin)
        site = noted.get(b"sec-fetch-site")
        if site is not None:
            return site not in (b"same-origin", b"none")
        return not noted.get(b"x-csrf-token")


def _pattern(origin: str) -> re.Pattern[bytes]:
    scheme, _, host = origin.partition("://")
    if host.startswith("*."):
        return re.compile((re.escape(scheme) + r"://[a-z0-9\-]+" + re.escape(host[1:])).encode())
    return re.compile(re.escape(origin).encode())


def lines(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Header pairs as lines."""
    return b"".join(b"%b: %b\r\n" % pair for pair in pairs)
