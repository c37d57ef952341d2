"""What the service is made of, put together in one place: for the module, the demo and the command line."""

from __future__ import annotations

from dataclasses import dataclass

from coffee_core.cache.redis_scripts import RedisScripts
from coffee_core.cache.redis_tier import RedisTier
from coffee_core.rest.container import Container
from coffee_core.rest.dao import Dao
from modules.identity.cached import CachedFacts
from modules.identity.contracts import Contracts
from modules.identity.entity import (
    AccountEntity,
    ContractEntity,
    InvalidationEntity,
    PartnerEntity,
    SessionEntity,
    UsedLogoutTokenEntity,
    UsedStateEntity,
    UserEntity,
)
from modules.identity.entry import AccountEntry, ContractEntry, PartnerEntry, SessionEntry, UserEntry
from modules.identity.passwords import PasswordHasher
from modules.identity.sessions import Sessions
from modules.identity.settings import IdentitySettings


@dataclass(frozen=True, slots=True)
class Parts:
    """Opens nothing until it is used; `close` ends what was opened."""

    settings: IdentitySettings
    redis: RedisTier | None
    partners: Dao[PartnerEntity, int]
    accounts: Dao[AccountEntity, int]
    users: Dao[UserEntity, int]
    contracts: Dao[ContractEntity, int]
    session_rows: Dao[SessionEntity, str]
    used_states: Dao[UsedStateEntity, str]
    used_logout_tokens: Dao[UsedLogoutTokenEntity, str]
    cached: CachedFacts
    sessions: Sessions
    plans: Contracts
    hasher: PasswordHasher

    async def close(self) -> None:
        """Stop retries and threads, close Redis."""
        self.hasher.close()
        await self.cached.close()


def parts_of(container: Container) -> Parts:
    """All of it, on the container's store."""
    settings = container.settings(IdentitySettings)
    redis = None
    if settings.redis_url is not None:
        url, timeout = settings.redis_url.get_secret_value(), settings.redis_timeout_seconds
        redis = RedisTier(RedisScripts.open(url, timeout=timeout, max_connections=settings.redis_connections))
    provider = container.store.provider(InvalidationEntity, InvalidationEntity.id)
    cached = CachedFacts(Dao(InvalidationEntity, InvalidationEntity.id, provider), settings, redis)
    states = container.store.provider(UsedStateEntity, UsedStateEntity.id)
    logouts = container.store.provider(UsedLogoutTokenEntity, UsedLogoutTokenEntity.id)
    session_rows = container.dao(SessionEntry, SessionEntity, SessionEntity.id)
    contracts = container.dao(ContractEntry, ContractEntity, ContractEntity.id)
    return Parts(
        settings=settings,
        redis=redis,
        partners=container.dao(PartnerEntry, PartnerEntity, PartnerEntity.id),
        accounts=container.dao(AccountEntry, AccountEntity, AccountEntity.id),
        users=container.dao(UserEntry, UserEntity, UserEntity.id),
        contracts=contracts,
        session_rows=session_rows,
        used_states=Dao(UsedStateEntity, UsedStateEntity.id, states),
        used_logout_tokens=Dao(UsedLogoutTokenEntity, UsedLogoutTokenEntity.id, logouts),
        cached=cached,
        sessions=Sessions(session_rows, cached, settings),
        plans=Contracts(contracts),
        hasher=PasswordHasher(settings),
    )
