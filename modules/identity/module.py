"""The wiring of identity."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from coffee_core.domain.plan import Plan
from coffee_core.domain.search import path
from coffee_core.rest.container import Container, Job, Module, Mounted
from modules.identity.attempts import Attempts
from modules.identity.auth import Auth
from modules.identity.auth_api import AuthApi
from modules.identity.backchannel import BackchannelLogout
from modules.identity.backchannel_api import BackchannelApi
from modules.identity.contracts import ContractManager
from modules.identity.entity import UsedLogoutTokenEntity, UsedStateEntity
from modules.identity.entry import PartnerEntry
from modules.identity.gateway import GatewayOnly
from modules.identity.google import Google
from modules.identity.google_api import GoogleApi
from modules.identity.logout_tokens import LogoutTokens
from modules.identity.of_partner_api import OfPartnerApi
from modules.identity.partners import AccountManager, PartnerManager
from modules.identity.partners_api import PartnersApi
from modules.identity.parts import Parts, parts_of
from modules.identity.provider_keys import ProviderKeys
from modules.identity.sessions_api import SessionsApi
from modules.identity.system import own_work
from modules.identity.tokens import AccessTokens
from modules.identity.users import UserManager, UserService
from modules.identity.users_api import UsersApi

PURGE_SECONDS = 3600.0
PUSH_SECONDS = 5.0


class IdentityModule:
    """The authority on who may call; the gateway is its client."""

    name = "identity"
    service = "identity-service"
    migrations = "modules.identity.migrations"

    def mount(self, container: Container) -> Mounted:
        """All resources over one set of parts."""
        parts = parts_of(container)
        settings, sessions = parts.settings, parts.sessions
        attempts, gateway = Attempts(settings, parts.redis), GatewayOnly(settings)
        auth = Auth(parts, attempts, AccessTokens(settings))
        keys = ProviderKeys(settings)
        backchannel = BackchannelLogout(parts, attempts, LogoutTokens(settings, keys))
        own, across = (
            UserService(UserManager(dao, sessions), parts.accounts, parts.hasher, attempts, settings)
            for dao in (parts.users, parts.users.across_partners())  # the second serves operators alone
        )
        contracts = ContractManager(parts.contracts, parts.partners, parts.cached)
        accounts = AccountManager(parts.accounts, parts.partners, sessions)
        partners = PartnerManager(PartnerEntry, parts.partners)
        return Mounted(
            plan=Plan.FREE,
            routes=[
                *AuthApi(auth, gateway, settings).routes(),
                *GoogleApi(auth, Google(settings, keys), settings).routes(),
                *BackchannelApi(backchannel, settings).routes(),
                *UsersApi(own, across, container).routes(),
                *PartnersApi(partners, parts.plans, gateway, container.rest).routes(),
                *OfPartnerApi(contracts, "contracts", container, deletes=True).routes(),
                *OfPartnerApi(accounts, "accounts", container, deletes=False).routes(),
                *SessionsApi(parts.session_rows, parts.users, sessions, container.rest).routes(),
            ],
            jobs=[
                Job(name="identity_sessions_purge", every_seconds=PURGE_SECONDS, run=lambda: _purge(parts)),
                Job(name="identity_invalidations", every_seconds=PUSH_SECONDS, run=lambda: _push(parts)),
            ],
            checks=[lambda: _check(parts)],
            close=parts.close,
        )


async def _purge(parts: Parts) -> None:
    used = datetime.now(UTC) - timedelta(seconds=parts.settings.google_seconds)
    async with own_work():
        await parts.sessions.purge()
        await parts.used_states.delete_where(path(UsedStateEntity.used_at).lt(used))
        await parts.used_logout_tokens.delete_where(path(UsedLogoutTokenEntity.expires_at).lt(datetime.now(UTC)))


async def _push(parts: Parts) -> None:
    await parts.cached.push_waiting()


async def _check(parts: Parts) -> str | None:
    if parts.settings.jwt_secret is None:
        return "nobody can sign in: COFFEE_JWT_SECRET is not set"
    if parts.settings.signing_key is None:
        return "the gateway cannot ask about sessions: COFFEE_IDENTITY_SIGNING_KEY is not set"
    return None


IDENTITY: Module = IdentityModule()
