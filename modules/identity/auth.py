"""Signing in, staying in and leaving."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import NamedTuple

from coffee_core.domain.context import current
from coffee_core.domain.errors import ConflictError, UnauthenticatedError
from coffee_core.domain.search import CountMode, SearchQuery, path
from modules.identity.attempts import Attempts
from modules.identity.email import normalise
from modules.identity.entity import OPEN, SessionEntity, UserEntity
from modules.identity.entry import TokensEntry
from modules.identity.parts import Parts
from modules.identity.sessions import Client, ProviderLogin
from modules.identity.system import own_work
from modules.identity.tokens import AccessClaims, AccessTokens, RefreshToken, digest, parse_refresh_token

log = logging.getLogger(__name__)

REFUSED = "the e-mail address or the password is not right"
"""Said to unknown accounts, wrong passwords and blocked accounts alike."""
NOBODY = -1
"""An id that no row has: for an unknown address the same rows are asked for as for a known one."""


class Credentials(NamedTuple):
    """What a caller shows of a session: an access token, a refresh token, or both."""

    access: str | None
    refresh: str | None


class Auth:
    """The use cases behind `/auth`. They run for callers whom nobody knows yet, so across partners."""

    def __init__(self, parts: Parts, attempts: Attempts, tokens: AccessTokens) -> None:
        self._users = parts.users.across_partners()  # the address says which partner it is
        self._accounts = parts.accounts.across_partners()
        self._sessions = parts.sessions
        self._plans = parts.plans
        self._hasher = parts.hasher
        self._settings = parts.settings
        self._used_states = parts.used_states
        self._attempts = attempts
        self._tokens = tokens

    async def login(self, email: str, password: str, client: Client) -> TokensEntry:
        """Tokens for a new session. Who cannot have one gets the same answer after the same work, whatever the reason:
        two look-ups and one hash."""
        email = normalise(email)
        account, address = self._attempts.account(email), self._attempts.address(client.address)
        counted = (account,) if address is None else (account, address)
        await self._attempts.begin(*counted)
        try:
            opened = await self._login(email, password, client)
        except Exception:
            await self._attempts.take_back(*counted)
            raise
        if opened is None:
            log.info("login refused", extra={"account": account.key})
            raise UnauthenticatedError(REFUSED)
        await self._attempts.take_back(account, whole=True)
        if address is not None:
            await self._attempts.take_back(address)
        return await self._answer(*opened)

    async def _login(self, email: str, password: str, client: Client) -> tuple[SessionEntity, RefreshToken] | None:
        user, may_sign_in = await self._find(email)
        verified = await self._hasher.verify(password, user.password_hash if user else None)
        if user is None or not verified.good or not may_sign_in:
            return None
        rehashed = await self._hasher.hash(password) if verified.outdated else None
        return await self._open(user, client, rehashed)

    async def _find(self, email: str) -> tuple[UserEntity | None, bool]:
        """The user of an address, if there is one, and whether his account lets him sign in."""
        async with own_work():
            query = SearchQuery(where=path(UserEntity.email).eq(email), size=1, count=CountMode.NONE)
            found = self._users.entities(await self._users.search(query))
            user = found[0] if found else None
            accounts = self._accounts.entities(await self._accounts.get(user.account_id if user else NOBODY))
        return user, bool(accounts) and accounts[0].status in OPEN

    async def _open(
        self, user: UserEntity, client: Client, rehashed: str | None = None, provider: ProviderLogin | None = None
    ) -> tuple[SessionEntity, RefreshToken] | None:
        async with own_work() as work:
            work.transactional = True
            if not await self._still_good(user):
                return None
            if rehashed is not None:
                await self._users.update(user.id, {"password_hash": rehashed})
            return await self._sessions.open(user, client, provider)

    async def use_state(self, state: str) -> None:
        """An OAuth state is good for one time, in whichever process it comes back."""
        try:
            async with own_work():
                await self._used_states.insert({"id": digest(state), "used_at": datetime.now(UTC)})
        except ConflictError:
            raise UnauthenticatedError("this sign-in has been used already: begin again") from None

    async def login_as(self, email: str, client: Client, provider: ProviderLogin) -> TokensEntry:
        """Tokens for a new session of somebody whose address the sign-in provider has proved.

        Letter by letter: folding, which helps who types, would make one address of two that different people may have.
        """
        if not email.isascii():
            raise UnauthenticatedError("the sign-in provider has to spell the address in ASCII")
        user, may_sign_in = await self._find(normalise(email))
        opened = await self._open(user, client, provider=provider) if user is not None and may_sign_in else None
        if opened is None:
            raise UnauthenticatedError("nobody with this address may sign in here")
        return await self._answer(*opened)

    async def _still_good(self, user: UserEntity) -> bool:
        """Lock account and user, and look again: both may have changed while the password was hashed."""
        accounts = self._accounts.entities(await self._accounts.get(user.account_id, for_update=True))
        users = self._users.entities(await self._users.get(user.id, for_update=True))
        return (
            bool(accounts and users)
            and accounts[0].status in OPEN
            and users[0].password_hash == user.password_hash
            and users[0].account_id == user.account_id
        )

    async def refresh(self, text: str) -> TokensEntry:
        """New tokens for the old ones; the old refresh token is worth nothing from here on."""
        token = parse_refresh_token(text)
        if token is not None:
            async with own_work():  # a session that is ended because of this request stays ended
                renewed = await self._sessions.refresh(token)
            if renewed is not None:
                return await self._answer(*renewed)
        raise UnauthenticatedError("the refresh token is not valid, or was used before: log in again")

    async def logout(self, shown: Credentials, *, everywhere: bool) -> None:
        """End the session that is shown, or with `everywhere` all of its user's.

        An access token that has run out still ends its own session. To end the others takes one that is good, or the
        refresh token, of a session that has not ended. A session that is gone already is no error.
        """
        session = await self._shown(shown, expired=not everywhere)
        if session is None:
            if everywhere:
                raise UnauthenticatedError("this session has ended: log in again")
            return
        which = path(SessionEntity.user_id).eq(session.user_id) if everywhere else path(SessionEntity.id).eq(session.id)
        async with own_work():
            await self._sessions.end(which)
        log.info("logged out", extra={"user": session.user_id, "everywhere": everywhere})

    async def _shown(self, shown: Credentials, *, expired: bool) -> SessionEntity | None:
        if shown.refresh is not None:
            token = parse_refresh_token(shown.refresh)
            if token is None or not await self._is_current(token):
                return None
            sid = token.sid
        elif shown.access is not None:
            sid = self._tokens.read(shown.access, expired=expired).sid
        else:
            raise UnauthenticatedError("send the access token, the session cookie or the refresh token")
        return await self.find(sid)

    async def _is_current(self, token: RefreshToken) -> bool:
        async with own_work():
            return await self._sessions.is_current(token)

    async def find(self, sid: str) -> SessionEntity | None:
        """The session by its id, if it has not ended."""
        async with own_work():
            return await self._sessions.find(sid)

    async def _answer(self, session: SessionEntity, token: RefreshToken) -> TokensEntry:
        claims = AccessClaims(session.user_id, session.id, session.account_id, session.partner_id)
        grant = await self._plans.grant(session.partner_id, datetime.now(UTC))
        return TokensEntry(
            access_token=self._tokens.issue(claims, now=time.time()),
            refresh_token=token.text,
            expires_in=self._settings.access_seconds,
            partner_id=session.partner_id,
            plan_type=grant.plan.name,
        )


def client_of(agent: bytes | None) -> Client:
    """The caller of the request in hand."""
    printable = "".join(c for c in (agent or b"").decode("latin-1") if c.isprintable())
    return Client(current().client_address, printable)
