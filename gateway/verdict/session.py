"""Step 3: the login session behind a token. Process, Redis `session:{sid}`, identity, in that order."""

from __future__ import annotations

from typing import Final

import msgspec

from coffee_core.domain.errors import UnavailableError
from gateway.verdict.identity import IdentityClient, epoch
from gateway.verdict.token import ids

PREFIX = "session:"
UNKNOWN = frozenset((401, 404))
_IDS: Final = ids(3)


class SessionJson(msgspec.Struct, rename="camel", gc=False):
    """A session as it stands in Redis and in the authority's answer; further members are ignored."""

    uid: str | int
    account_id: str | int
    partner_id: str | int
    exp: float | str
    operator: bool = False


_read: Final = msgspec.json.Decoder(SessionJson).decode


class Session(msgspec.Struct, frozen=True, gc=False):
    """A session that exists. `expires` is in epoch seconds; an operator may use the gateway's operators' routes."""

    uid: str
    account_id: str
    partner_id: str
    expires: float
    operator: bool = False


class SessionSource:
    """The authority on sessions, for the two-tier cache."""

    def __init__(self, identity: IdentityClient) -> None:
        self._identity = identity

    async def load(self, key: str) -> Session | None:
        """The session, or `None` where the identity service knows none."""
        sid = key.removeprefix(PREFIX)
        found = await self._identity.ask("/identity-service/api/auth/verify", {"sid": sid}, SessionJson, gone=UNKNOWN)
        if not found:
            return None
        try:
            return _session(found[0])
        except ValueError:
            raise UnavailableError("sessions cannot be checked at the moment; try again") from None

    def encode(self, value: Session) -> bytes:
        """As identity itself writes it."""
        return msgspec.json.encode(
            SessionJson(value.uid, value.account_id, value.partner_id, value.expires, value.operator)
        )

    def decode(self, raw: bytes) -> Session:
        """`ValueError` for what is no session (msgspec's errors are such); the value does not repeat the `sid`."""
        return _session(_read(raw))

    def expires(self, value: Session) -> float | None:
        """The session's own end: no tier keeps it longer, and nothing stands in for it after that."""
        return value.expires


def _session(found: SessionJson) -> Session:
    uid, account, partner, end = found.uid, found.account_id, found.partner_id, found.exp
    expires = end if isinstance(end, float) else epoch(end)
    if expires is None or _IDS(f"{uid} {account} {partner} ") is None:
        raise ValueError("a session without an end, or of nobody")
    return Session(str(uid), str(account), str(partner), expires, found.operator)
