"""Partners and their accounts."""

from __future__ import annotations

from collections.abc import Sequence

from coffee_core.domain.context import current
from coffee_core.domain.search import SearchQuery, path
from coffee_core.rest.dao import Dao
from coffee_core.rest.manager import Manager
from coffee_core.rest.page import Page
from modules.identity.entity import OPEN, AccountEntity, PartnerEntity, SessionEntity
from modules.identity.entry import AccountEntry, PartnerEntry
from modules.identity.of_partner import OfPartner, require_partner
from modules.identity.sessions import Sessions


class PartnerManager(Manager[PartnerEntry, PartnerEntity, int]):
    """Operators see all of them, a partner itself."""

    async def get(self, id: int, fields: tuple[str, ...] | None = None) -> Page[PartnerEntry]:
        """One partner."""
        require_partner(id)
        return await super().get(id, fields)

    async def get_many(self, ids: Sequence[int], fields: tuple[str, ...] | None = None) -> Page[PartnerEntry]:
        """Some partners."""
        context = current()
        own = context.partner()
        return await super().get_many([id for id in ids if context.is_operator or id == own], fields)

    async def search(self, query: SearchQuery) -> Page[PartnerEntry]:
        """Partners that match."""
        current().require_operator()
        return await super().search(query)


class AccountManager(OfPartner[AccountEntry, AccountEntity]):
    """Closing an account ends the sessions of its users."""

    def __init__(self, dao: Dao[AccountEntity, int], partners: Dao[PartnerEntity, int], sessions: Sessions) -> None:
        super().__init__(AccountEntry, dao, partners)
        self._sessions = sessions

    async def written(self, partner_id: int, entry: AccountEntry | None) -> None:  # noqa: ARG002 - the account says it
        """The row is locked by its change until the commit, so that no login comes in between."""
        if entry is not None and entry.id is not None and entry.status not in OPEN:
            await self._sessions.end(path(SessionEntity.account_id).eq(entry.id))
