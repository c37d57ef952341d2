"""How one of our own processes proves to another who it is, where no caller stands behind the question.

`Authorization: Bearer <statement>`: a JWT, HS256 with the key that also signs `x-bb-identity`, with `sub` (the
asking process, for example `gateway`), `aud` (the asked one), `iat`, `exp`, and `typ` `service+jwt`, so that neither
an access token nor a statement about a caller can be taken for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import jwt

TYPE: Final = "service+jwt"
LEEWAY: Final = 5
"""Seconds by which two machines' clocks may differ."""


def sign_service(name: str, *, audience: str, key: str, now: float, lifetime: float) -> str:
    """The statement that the process `name` asks `audience`, good for `lifetime` seconds from `now` (epoch seconds)."""
    claims: dict[str, object] = {"sub": name, "aud": audience, "iat": int(now), "exp": int(now + lifetime)}
    return jwt.encode(claims, key, algorithm="HS256", headers={"typ": TYPE})


def verify_service(statement: str, *, audience: str, keys: Sequence[str]) -> str | None:
    """The name of the process that asks, or `None` for a statement that proves nothing."""
    for key in keys:
        try:
            if jwt.get_unverified_header(statement).get("typ") != TYPE:
                return None
            claims = jwt.decode(
                statement,
                key,
                algorithms=["HS256"],
                audience=audience,
                leeway=LEEWAY,
                options={"require": ["sub", "aud", "iat", "exp"], "strict_aud": True},
            )
        except jwt.InvalidSignatureError:
            continue
        except (jwt.InvalidTokenError, ValueError):
            return None
        return str(claims["sub"])
    return None
