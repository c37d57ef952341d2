"""The sign-in provider ends sessions: OpenID Connect Back-Channel Logout 1.0, section 2.7."""

from __future__ import annotations

import logging

from coffee_core.domain.errors import ConflictError, InputError
from coffee_core.domain.search import Node, all_of, any_of, path
from modules.identity.attempts import Attempts
from modules.identity.entity import SessionEntity
from modules.identity.logout_tokens import LogoutToken, LogoutTokens
from modules.identity.parts import Parts
from modules.identity.system import own_work
from modules.identity.tokens import digest

log = logging.getLogger(__name__)


class BackchannelLogout:
    """The token alone vouches for who calls, so across partners."""

    def __init__(self, parts: Parts, attempts: Attempts, tokens: LogoutTokens) -> None:
        self._used = parts.used_logout_tokens
        self._sessions = parts.sessions
        self._attempts = attempts
        self._tokens = tokens

    async def end(self, text: str, address: str) -> None:
        """End the sessions that a logout token means; that there are none is no error.

        A token that is refused counts against its sender's `address`. A good one is never made to wait: the provider
        sends those of all its users from one address.
        """
        try:
            token = await self._tokens.read(text)
            ended = await self._end(token)
        except InputError:
            counted = self._attempts.logout_address(address)
            if counted is not None:
                await self._attempts.begin(counted)
            raise
        log.info("logged out by the provider", extra={"sessions": ended})

    async def _end(self, token: LogoutToken) -> int:
        """Use and effect are one transaction: what fails halfway may be sent again."""
        try:
            async with own_work() as work:
                work.transactional = True
                id = digest(f"{token.issuer} {token.id}")
                await self._used.insert({"id": id, "expires_at": token.remembered})
                return await self._sessions.end(_meant_by(token))
        except ConflictError:
            raise InputError("the logout token is not valid: it was used before") from None


def _meant_by(token: LogoutToken) -> Node:
    """Where both are named, a session of the subject that began without a `sid` cannot be told apart, and ends too."""
    of_issuer = path(SessionEntity.provider_issuer).eq(token.issuer)
    by_sid = path(SessionEntity.provider_sid).eq(token.sid)
    by_subject = path(SessionEntity.provider_subject).eq(token.subject)
    if token.subject is None:
        return all_of(of_issuer, by_sid)
    if token.sid is None:
        return all_of(of_issuer, by_subject)
    return all_of(of_issuer, by_subject, any_of(by_sid, path(SessionEntity.provider_sid).is_null()))
