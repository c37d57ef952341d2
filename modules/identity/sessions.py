"""Login sessions: PostgreSQL's row is the truth; tokens, Redis and gateways only refer to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from coffee_core.domain.search import CountMode, Node, SearchQuery, all_of, path
from coffee_core.persistence.unit_of_work import begin_transaction, current_work
from coffee_core.rest.dao import Dao
from modules.identity.cached import CachedFacts, session_key
from modules.identity.entity import SessionEntity, UserEntity
from modules.identity.settings import IdentitySettings
from modules.identity.tokens import RefreshToken, digest, new_refresh_token, same

MANY = 1_000_000
"""More sessions than any account has: its end is one statement."""


@dataclass(frozen=True, slots=True)
class Client:
    """Where a login comes from, for the owner's list of sessions."""

    address: str
    agent: str


class ProviderLogin(NamedTuple):
    """The login at the sign-in provider from which a session comes: `iss`, `sub` and, where it has one, `sid` of the
    ID token (OpenID Connect Back-Channel Logout 1.0 section 2.1)."""

    issuer: str
    subject: str
    sid: str | None


class Sessions:
    """All methods work across partners: who may see or end which session is decided before they are called."""

    def __init__(self, dao: Dao[SessionEntity, str], cached: CachedFacts, settings: IdentitySettings) -> None:
        self._dao = dao.across_partners()  # a session is found by its secret, before anybody knows whose it is
        self._cached = cached
        self._settings = settings

    async def open(
        self, user: UserEntity, client: Client, provider: ProviderLogin | None = None
    ) -> tuple[SessionEntity, RefreshToken]:
        """A new session. The caller holds the user's row locked, so that an end of all his sessions comes before it
        or after it, and not in between."""
        begin_transaction()
        await self._make_room(user.id)
        token = new_refresh_token()
        now = datetime.now(UTC)
        values: dict[str, object] = {
            "id": token.sid,
            "partner_id": user.partner_id,
            "account_id": user.account_id,
            "user_id": user.id,
            "family_hash": digest(token.family),
            "refresh_hash": digest(token.secret),
            "client_address": client.address,
            "user_agent": client.agent[:300],
            "created_at": now,
            "refreshed_at": now,
            "expires_at": self._end(now, now),
        }
        if provider is not None:
            values |= {f"provider_{name}": said for name, said in provider._asdict().items()}
        (session,) = self._dao.entities(await self._dao.insert(values))
        await self._keep(session)
        return session, token

    async def find(self, sid: str) -> SessionEntity | None:
        """The session, if it has not ended."""
        found = self._dao.entities(await self._dao.get(sid))
        return found[0] if found and found[0].expires_at > datetime.now(UTC) else None

    async def refresh(self, token: RefreshToken) -> tuple[SessionEntity, RefreshToken] | None:
        """The session and its next refresh token; None if `token` is not good for one.

        A token of the family that is no longer the current one was used before. That ends the session, unless it was
        replaced a moment ago by another request of the same client.
        """
        begin_transaction()
        now = datetime.now(UTC)
        found = self._dao.entities(await self._dao.get(token.sid, for_update=True))
        if not found or found[0].expires_at <= now or not same(token.family, found[0].family_hash):
            return None
        session = found[0]
        if not same(token.secret, session.refresh_hash):
            race = (now - session.refreshed_at).total_seconds() <= self._settings.refresh_race_seconds
            if not (race and same(token.secret, session.previous_hash)):
                await self.end(path(SessionEntity.id).eq(session.id))
            return None
        following = token.renewed()
        values: dict[str, object] = {
            "refresh_hash": digest(following.secret),
            "previous_hash": session.refresh_hash,
            "refreshed_at": now,
            "expires_at": self._end(session.created_at, now),
        }
        (session,) = self._dao.entities(await self._dao.update(session.id, values))
        await self._keep(session)
        return session, following

    async def is_current(self, token: RefreshToken) -> bool:
        """Whether the token's session is there, and the token of its family."""
        session = await self.find(token.sid)
        return session is not None and same(token.family, session.family_hash)

    async def end(self, *which: Node) -> int:
        """End the sessions that match, in the transaction in hand; the gateways hear of it after its commit."""
        begin_transaction()
        query = SearchQuery(where=all_of(*which), size=MANY, count=CountMode.NONE, fields=("id",))
        ids = [row[0] for row in (await self._dao.search(query)).rows]
        if ids:
            await self._dao.delete_where(path(SessionEntity.id).within(ids))
            await self._cached.changed(*map(session_key, ids))
        return len(ids)

    async def purge(self) -> int:
        """Delete what has ended by itself; nobody needs to be told."""
        return await self._dao.delete_where(path(SessionEntity.expires_at).lte(datetime.now(UTC)))

    def _end(self, created: datetime, now: datetime) -> datetime:
        idle = now + timedelta(seconds=self._settings.session_seconds)
        return min(idle, created + timedelta(seconds=self._settings.session_seconds_max))

    async def _make_room(self, user_id: int) -> None:
        most = self._settings.sessions_per_user_max
        where = path(SessionEntity.user_id).eq(user_id)
        query = SearchQuery(
            where=where, sort_by="created_at", descending=True, size=MANY, count=CountMode.NONE, fields=("id",)
        )
        surplus = [row[0] for row in (await self._dao.search(query)).rows][most - 1 :]
        if surplus:
            await self.end(path(SessionEntity.id).within(surplus))

    async def _keep(self, session: SessionEntity) -> None:
        key = session_key(session.id)
        seen = await self._cached.prepare(key)
        if seen is not None:
            answer = seen

            async def store() -> None:
                await self._cached.store(key, answer, session)

            current_work().after_commit(store)
