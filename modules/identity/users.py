"""Users: operators keep them, a partner sees its own, everybody keeps his own name and password."""

from __future__ import annotations

from coffee_core.domain.context import current
from coffee_core.domain.errors import ForbiddenError, InputError, NotFoundError, UnauthenticatedError
from coffee_core.domain.search import path
from coffee_core.persistence.unit_of_work import begin_transaction
from coffee_core.rest.dao import Dao
from coffee_core.rest.manager import Manager
from coffee_core.rest.page import Envelope, Page
from coffee_core.rest.patch import Patch
from coffee_core.rest.service import Service
from modules.identity.attempts import Attempts
from modules.identity.email import normalise
from modules.identity.entity import AccountEntity, SessionEntity, UserEntity
from modules.identity.entry import NewUserBody, PasswordBody, UserEntry
from modules.identity.passwords import PasswordHasher, check
from modules.identity.sessions import Sessions
from modules.identity.settings import IdentitySettings

PASSWORD_WRONG = "the current password is not right"  # noqa: S105 - a sentence, no password


class UserManager(Manager[UserEntry, UserEntity, int]):
    """Made twice: within the caller's partner, and (over `dao.across_partners()`) for operators."""

    def __init__(self, dao: Dao[UserEntity, int], sessions: Sessions) -> None:
        super().__init__(UserEntry, dao)
        self._sessions = sessions

    async def on_update(self, id: int, patch: Patch[UserEntry]) -> None:
        """An e-mail address is how one signs in: operators change it, in its one spelling."""
        context = current()
        if not context.is_operator:
            if not (await self.dao.get(id)).rows:
                raise self.missing(id)
            if id != context.user():
                raise ForbiddenError("you may change your own name; operators change other users")
            if "email" in patch.values:
                raise ForbiddenError("operators change the e-mail address")
        if "email" in patch.values:
            patch.values["email"] = normalise(str(patch.values["email"]))

    async def on_delete(self, id: int) -> None:
        """The row is locked first, so that no login comes in between."""
        await self.lock(id)

    async def deleted(self, id: int) -> None:
        """Who is deleted is out at once."""
        await self._sessions.end(path(SessionEntity.user_id).eq(id))

    async def lock(self, id: int) -> UserEntity:
        """The row, locked until the unit of work ends."""
        found = self.dao.entities(await self.dao.get(id, for_update=True))
        if not found:
            raise self.missing(id)
        return found[0]

    async def add(self, account: AccountEntity, new: NewUserBody, email: str, password_hash: str) -> Page[UserEntry]:
        """A new user of an account."""
        values: dict[str, object] = {
            "partner_id": account.partner_id,
            "account_id": account.id,
            "email": email,
            "name": new.name,
            "password_hash": password_hash,
        }
        return await self.page(await self.dao.insert(values, self.projection()), single=True)

    async def set_password(self, user: UserEntity, password_hash: str) -> None:
        """A new password ends every session that the old one opened. The user's row is locked."""
        await self.dao.update(user.id, {"password_hash": password_hash})
        await self._sessions.end(path(SessionEntity.user_id).eq(user.id))


class UserService(Service[UserEntry, UserEntity, int]):
    """What takes a hash: computed before the transaction begins, which is why it is not the manager's."""

    def __init__(
        self,
        manager: UserManager,
        accounts: Dao[AccountEntity, int],
        hasher: PasswordHasher,
        attempts: Attempts,
        settings: IdentitySettings,
    ) -> None:
        super().__init__(manager)
        self._users = manager
        self._accounts = accounts.across_partners()  # for `add`, which is the operators'
        self._hasher = hasher
        self._attempts = attempts
        self._settings = settings

    async def add(self, new: NewUserBody) -> Envelope[UserEntry]:
        """A new user; `NotFoundError` if there is no such account."""
        current().require_operator()
        email = normalise(new.email)
        password = check(new.password, email, self._settings)
        accounts = self._accounts.entities(await self._accounts.get(new.account_id))
        if not accounts:
            raise NotFoundError(f"there is no account {new.account_id}")
        password_hash = await self._hasher.hash(password)
        return self.envelope(await self._users.add(accounts[0], new, email, password_hash), total=1)

    async def change_password(self, id: int, given: PasswordBody) -> None:
        """Everybody his own, with the one he has; operators anybody's. All sessions of the user end, this one too."""
        context = current()
        own = id == context.user()
        found = self.manager.dao.entities(await self.manager.dao.get(id))
        if not found:
            raise self.manager.missing(id)
        user = found[0]
        if not own and not context.is_operator:
            raise ForbiddenError("you may change your own password")
        if own:
            await self._prove(user, given.current_password)
        password_hash = await self._hasher.hash(check(given.new_password, user.email, self._settings))
        begin_transaction()
        locked = await self._users.lock(id)
        if locked.password_hash != user.password_hash:
            raise UnauthenticatedError(PASSWORD_WRONG)  # it has been changed in this very moment
        await self._users.set_password(locked, password_hash)

    async def _prove(self, user: UserEntity, password: str | None) -> None:
        """A stolen session must not be a way to guess the password: these attempts count as logins."""
        if password is None:
            raise InputError("say currentPassword as well")
        account = self._attempts.account(user.email)
        await self._attempts.begin(account)
        try:
            verified = await self._hasher.verify(password, user.password_hash)
        except Exception:
            await self._attempts.take_back(account)
            raise
        if not verified.good:
            raise ForbiddenError(PASSWORD_WRONG)
        await self._attempts.take_back(account, whole=True)
