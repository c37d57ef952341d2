"""The signed statement `x-bb-identity`: what the gateway says about a caller, in a form that a module can check.

A JWT (HS256) with `aud` (the upstream's audience), `iat`, `exp`, and the text of the plain headers: `partnerId`,
`userAccountId`, `uid`, `planType`. The request id is not part of it: one statement serves many requests. An anonymous
caller has neither the plain headers nor a statement.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from coffee_core.domain.plan import PLAN_NAMES, Plan
from gateway.verdict.base64url import encoded
from gateway.verdict.token import Claims

PLANS: Final = tuple(name.encode() for name in PLAN_NAMES)
"""The same as bytes."""
_LINES: Final = (
    b"x-bb-partner-id: %b\r\nx-bb-account-id: %b\r\nx-bb-uid: %b\r\nx-bb-plan-type: %b\r\nx-bb-identity: %b.%b\r\n"
)
_SAID: Final = b'{"aud":%b,%b,"partnerId":"%b","userAccountId":"%b","uid":"%b","planType":"%b"}'
_TIMES: Final = b'"iat":%d,"exp":%d'
_HEADER: Final = encoded(b'{"alg":"HS256","typ":"JWT"}')


class StatementSigner:
    """Signs statements that live for `lifetime` seconds and may be used again for `reuse` of them.

    `audiences` names upstreams whose processes go by another name than the upstream's.
    """

    def __init__(
        self, key: str, *, lifetime: float = 60.0, reuse: float = 30.0, audiences: Mapping[str, str] | None = None
    ) -> None:
        self.replace_key(key)
        self._audiences = dict(audiences or {})
        self.lifetime = lifetime
        self.reuse = reuse
        self._second = -1
        self._times = b""
        """Of those that begin in that second and have their whole lifetime."""

    def replace_key(self, key: str) -> None:
        """From now on this one signs."""
        self.key = key
        self._keyed = HMAC(key.encode(), SHA256())  # begun once, and copied for each statement
        self._named: dict[str, bytes] = {}
        """Of each upstream: its audience, as JSON."""

    def lines(self, upstream: str, claims: Claims, plan: Plan, *, now: float, until: float = float("inf")) -> bytes:
        """The identity headers for this upstream, plain and signed; they are the only ones of their names.

        The statement begins `now` and ends no later than `until`, the session's or the plan's end (epoch seconds). It
        is a JWT, HS256 (RFC 7515), written by hand: every session that is met for the first time needs one. Ids have no
        characters that JSON would escape (`Claims`).
        """
        begin = int(now)
        if begin != self._second:
            self._second, self._times = begin, _TIMES % (begin, begin + self.lifetime)
        times = self._times
        if begin + self.lifetime > until:
            times = _TIMES % (begin, max(until, begin + 1))
        uid, account, partner = claims.uid.encode(), claims.account_id.encode(), claims.partner_id.encode()
        named = PLANS[plan]
        aud = self._named.get(upstream) or self._name(upstream)
        body = b"%b.%b" % (_HEADER, encoded(_SAID % (aud, times, partner, account, uid, named)))
        keyed = self._keyed.copy()
        keyed.update(body)
        return _LINES % (partner, account, uid, named, body, encoded(keyed.finalize()))

    def _name(self, upstream: str) -> bytes:
        audience = self._named[upstream] = json.dumps(self._audiences.get(upstream, upstream)).encode()
        return audience
