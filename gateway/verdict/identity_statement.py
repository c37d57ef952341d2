"""The signed statement `x-bb-identity`: what the gateway says about a caller, in a form that a module can check.

A JWT (HS256) with `aud` (the upstream's audience), `iat`, `exp`, and the text of the plain headers: `partnerId`,
`userAccountId`, `uid`, `planType`. The request id is not part of it: one statement serves many requests. An anonymous
caller has neither the plain headers nor a statement.
"""

from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Final

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from coffee_core.domain.plan import Plan
from gateway.verdict.token import Claims


class _Statement(msgspec.Struct, gc=False):
    aud: str
    iat: int
    exp: int
    partner_id: str = msgspec.field(name="partnerId")
    user_account_id: str = msgspec.field(name="userAccountId")
    uid: str
    plan_type: str = msgspec.field(name="planType")


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

    def replace_key(self, key: str) -> None:
        """From now on this one signs."""
        self.key = key
        self._keyed = HMAC(key.encode(), SHA256())  # begun once, and copied for each statement

    def lines(self, upstream: str, claims: Claims, plan: Plan, *, until: float = float("inf")) -> bytes:
        """The identity headers for this upstream, plain and signed; they are the only ones of their names.

        The statement ends no later than `until` (epoch seconds), the session's or the plan's end.
        """
        now, named = time.time(), plan.name
        said = _Statement(
            self._audiences.get(upstream, upstream),
            int(now),
            int(min(now + self.lifetime, max(until, now + 1))),
            claims.partner_id,
            claims.account_id,
            claims.uid,
            named,
        )
        plain = (
            f"x-bb-partner-id: {claims.partner_id}\r\nx-bb-account-id: {claims.account_id}\r\n"
            f"x-bb-uid: {claims.uid}\r\nx-bb-plan-type: {named}\r\n"
        )
        return b"%bx-bb-identity: %b\r\n" % (plain.encode("ascii"), self._signed(said))

    def _signed(self, said: _Statement) -> bytes:
        """A JWT, HS256 (RFC 7515): every session that is met for the first time needs one, and PyJWT takes four times
        as long to write it. What others have written only PyJWT reads here."""
        body = b"%b.%b" % (_HEADER, _base64url(msgspec.json.encode(said)))
        keyed = self._keyed.copy()
        keyed.update(body)
        return b"%b.%b" % (body, _base64url(keyed.finalize()))


def _base64url(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


_HEADER: Final = _base64url(b'{"alg":"HS256","typ":"JWT"}')
