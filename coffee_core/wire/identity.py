"""Who the gateway says is calling: the headers, and the short-lived statement by which a module knows that it said so.

The statement (`x-bb-identity`) is a JWT, HS256, with the claims `aud` (the upstream's name), `iat`, `exp`, and
`partnerId`, `userAccountId`, `uid`, `planType`: the text of the plain headers, a claim for each header that is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import jwt

PARTNER: Final = b"x-bb-partner-id"
ACCOUNT: Final = b"x-bb-account-id"
USER: Final = b"x-bb-uid"
PLAN: Final = b"x-bb-plan-type"
IDENTITY: Final = b"x-bb-identity"
REQUEST_ID: Final = b"x-bb-requestid"

LEEWAY: Final = 5
"""Seconds by which two machines' clocks may differ."""

_ALGORITHM: Final = "HS256"


class Caller(NamedTuple):
    """The text of the four plain headers; "" for one that is not there."""

    partner: str = ""
    account: str = ""
    user: str = ""
    plan: str = ""


_CLAIMS: Final = Caller("partnerId", "userAccountId", "uid", "planType")


class BadStatementError(Exception):
    """A statement that proves nothing; the text says why, and repeats none of it."""


def sign(caller: Caller, *, audience: str, key: bytes, now: float, lifetime: float) -> str:
    """The statement that `caller` calls `audience`, good for `lifetime` seconds from `now` (epoch seconds)."""
    claims: dict[str, object] = {claim: value for claim, value in zip(_CLAIMS, caller, strict=True) if value}
    claims |= {"aud": audience, "iat": int(now), "exp": int(now + lifetime)}
    return jwt.encode(claims, key, algorithm=_ALGORITHM)


def verify(statement: str, *, audience: str, keys: Sequence[bytes]) -> tuple[Caller, float]:
    """Whom it names, and until when (epoch seconds, leeway included). `keys`: the current one, then those it replaces.

    Wrong in any way, expired, or meant for another audience: `BadStatementError`.
    """
    for key in keys:
        try:
            claims = jwt.decode(
                statement,
                key,
                algorithms=[_ALGORITHM],
                audience=audience,
                leeway=LEEWAY,
                options={"require": ["aud", "exp", "iat"], "strict_aud": True},
            )
        except jwt.InvalidSignatureError:
            continue
        except jwt.InvalidTokenError as error:
            raise BadStatementError(f"the statement of identity is not valid: {type(error).__name__}") from None
        values = [claims.get(claim, "") for claim in _CLAIMS]
        if not all(isinstance(value, str) for value in values):
            raise BadStatementError("the statement of identity has a claim that is no text")
        return Caller(*values), float(claims["exp"]) + LEEWAY
    raise BadStatementError("the statement of identity is not signed with a key that is known here")
