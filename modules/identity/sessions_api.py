"""`/sessions`: where the caller is signed in, and how he ends it; operators find and end anybody's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from coffee_core.domain.context import current
from coffee_core.domain.errors import NotFoundError
from coffee_core.domain.search import Condition, CountMode, SearchQuery, all_of, path
from coffee_core.rest.dao import Dao
from coffee_core.rest.manager import Manager
from coffee_core.rest.parameters import flag, parse, whole
from coffee_core.rest.route import Parameter, Route
from coffee_core.rest.service import Service
from coffee_core.rest.settings import RestSettings
from coffee_core.wire.message import Request, Response
from modules.identity.email import normalise
from modules.identity.entity import SessionEntity, UserEntity
from modules.identity.entry import SessionEntry
from modules.identity.sessions import Sessions
from modules.identity.tokens import is_session_id

BASE = "/api/sessions"
ID = Parameter(name="id", where="path", required=True, description="The session's id.")


WHOSE = ("email", "userId", "partnerId", "everybody")
"""Query parameters of operators: whose sessions are meant, if not their own. Together they narrow."""


class SessionsApi:
    """Everybody his own: a user's sessions are no business of his partner's. Operators may say whose."""

    def __init__(
        self, rows: Dao[SessionEntity, str], users: Dao[UserEntity, int], sessions: Sessions, settings: RestSettings
    ) -> None:
        self._own = Service(Manager(SessionEntry, rows))
        self._all = Service(Manager(SessionEntry, rows.across_partners()))
        self._users = users.across_partners()
        self._sessions = sessions
        self._settings = settings

    def routes(self) -> list[Route]:
        """All of them."""
        size = Parameter(name="size", where="query", type=int, minimum=1, maximum=self._settings.page_size_max)
        page = Parameter(name="page", where="query", type=int, minimum=1, default=1)
        tags = ("sessions",)
        whose = (
            Parameter(name="email", where="query", description="Operators: of the user with this address."),
            Parameter(name="userId", where="query", type=int, minimum=0, description="Operators: of this user."),
            Parameter(name="partnerId", where="query", type=int, minimum=0, description="Operators: of this partner."),
            Parameter(name="everybody", where="query", type=bool, description="Operators: of everybody."),
        )
        return [
            Route(
                method="GET", path=BASE, handler=self.read_all, name="sessions_list", summary="The caller's sessions",
                parameters=(page, size, *whose), data=SessionEntry, errors=(403,), tags=tags,
            ),
            Route(
                method="DELETE", path=BASE, handler=self.end_all, name="sessions_end_all", status=204,
                summary="End all of the caller's sessions, this one too",
                parameters=whose, errors=(403,), tags=tags,
            ),
            Route(
                method="DELETE", path=f"{BASE}/{{id}}", handler=self.end, name="sessions_end", status=204,
                summary="End one of the caller's sessions (operators: anybody's)", parameters=(ID,), errors=(404,),
                tags=tags,
            ),
        ]  # fmt: skip

    async def read_all(self, request: Request) -> Response:
        """GET, the newest first."""
        given = parse(request.query, ("page", "size", *WHOSE))
        size = whole(given, "size", self._settings.page_size, 1, self._settings.page_size_max)
        page = whole(given, "page", 1, 1, max(1, self._settings.offset_max // size))
        alive = path(SessionEntity.expires_at).gt(datetime.now(UTC))
        which = await self._which(given)
        query = SearchQuery(where=all_of(*which, alive), sort_by="created_at", descending=True, page=page, size=size)
        service = self._all if _others(given) else self._own
        return Response(200, (await service.search(query)).encode())

    async def end_all(self, request: Request) -> Response:
        """DELETE. Not everybody's at once: whoever means that ends them by partner."""
        given = parse(request.query, tuple(name for name in WHOSE if name != "everybody"))
        await self._sessions.end(*await self._which(given))
        return Response(204, content_type=None)

    async def end(self, request: Request) -> Response:
        """DELETE /{id}."""
        parse(request.query, ())
        sid = request.path_params["id"]
        whose = () if current().is_operator else (_own(),)
        if not is_session_id(sid) or not await self._sessions.end(*whose, path(SessionEntity.id).eq(sid)):
            raise NotFoundError("you have no such session")
        return Response(204, content_type=None)

    async def _which(self, given: Mapping[str, str]) -> list[Condition]:
        if not _others(given):
            return [_own()]
        current().require_operator()
        flag(given, "everybody", default=False)
        which: list[Condition] = []
        if "userId" in given:
            which.append(path(SessionEntity.user_id).eq(whole(given, "userId", 0, 0, 2**63 - 1)))
        if "partnerId" in given:
            which.append(path(SessionEntity.partner_id).eq(whole(given, "partnerId", 0, 0, 2**63 - 1)))
        if "email" in given:
            which.append(path(SessionEntity.user_id).eq(await self._user(normalise(given["email"]))))
        return which

    async def _user(self, email: str) -> int:
        query = SearchQuery(where=path(UserEntity.email).eq(email), size=1, count=CountMode.NONE)
        found = self._users.entities(await self._users.search(query))
        return found[0].id if found else -1  # nobody's


def _own() -> Condition:
    return path(SessionEntity.user_id).eq(current().user())


def _others(given: Mapping[str, str]) -> bool:
    return any(name in given for name in WHOSE)
