"""`/auth`: login, refresh, logout, and the gateway's question."""

from __future__ import annotations

from coffee_core.domain.errors import NotFoundError, UnauthenticatedError
from coffee_core.rest.parameters import flag, parse
from coffee_core.rest.route import Parameter, Route
from coffee_core.wire.message import Request, Response
from modules.identity.answers import Answers, SessionCookie, read_body
from modules.identity.auth import Auth, Credentials, client_of
from modules.identity.cached import fact_of
from modules.identity.entry import LoginBody, LogoutBody, RefreshBody, SessionFact, TokensEntry
from modules.identity.gateway import GatewayOnly
from modules.identity.settings import IdentitySettings
from modules.identity.tokens import is_session_id

BASE = "/api/auth"
COOKIE = Parameter(
    name="cookie", where="query", enum=("true", "false"), default="false",
    description="Whether the access token is put into the session cookie as well.",
)  # fmt: skip
EVERYWHERE = Parameter(
    name="everywhere", where="query", enum=("true", "false"), default="false",
    description="Whether all sessions of the user end.",
)  # fmt: skip
SID = Parameter(name="sid", where="query", required=True, description="The session's id.")


class AuthApi:
    """Public, as those who call it have no session yet; `verify` is the gateway's alone."""

    def __init__(self, auth: Auth, gateway: GatewayOnly, settings: IdentitySettings) -> None:
        self._auth = auth
        self._gateway = gateway
        self._cookie = SessionCookie(settings)
        self._tokens = Answers(TokensEntry)
        self._facts = Answers(SessionFact)

    def routes(self) -> list[Route]:
        """All of them."""
        tags = ("auth",)
        return [
            Route(
                method="POST", path=f"{BASE}/login", handler=self.login, name="auth_login", summary="Sign in",
                parameters=(COOKIE,), body=LoginBody, data=TokensEntry, errors=(413, 415, 429), public=True, tags=tags,
            ),
            Route(
                method="POST", path=f"{BASE}/refresh", handler=self.refresh, name="auth_refresh",
                summary="New tokens for a refresh token", parameters=(COOKIE,), body=RefreshBody, data=TokensEntry,
                errors=(413, 415), public=True, tags=tags,
            ),
            Route(
                method="POST", path=f"{BASE}/logout", handler=self.logout, name="auth_logout", status=204,
                summary="End the session of the access token, the cookie or the refresh token",
                parameters=(EVERYWHERE,), body=LogoutBody, body_required=False, errors=(413, 415), public=True,
                tags=tags,
            ),
            Route(
                method="GET", path=f"{BASE}/verify", handler=self.verify, name="auth_verify",
                summary="A session, for the gateway", parameters=(SID,), data=SessionFact, errors=(403, 404),
                public=True, internal=True, tags=tags,
            ),
        ]  # fmt: skip

    async def login(self, request: Request) -> Response:
        """POST /login."""
        cookie = flag(parse(request.query, ("cookie",)), "cookie", default=False)
        body = await read_body(request, LoginBody)
        client = client_of(request.headers.get(b"user-agent"))
        return self._answer(await self._auth.login(body.email, body.password, client), cookie=cookie)

    async def refresh(self, request: Request) -> Response:
        """POST /refresh."""
        cookie = flag(parse(request.query, ("cookie",)), "cookie", default=False)
        body = await read_body(request, RefreshBody)
        return self._answer(await self._auth.refresh(body.refresh_token), cookie=cookie)

    async def logout(self, request: Request) -> Response:
        """POST /logout."""
        everywhere = flag(parse(request.query, ("everywhere",)), "everywhere", default=False)
        await self._auth.logout(await self._credentials(request), everywhere=everywhere)
        return Response(204, content_type=None, headers=[self._cookie.clear()])

    async def verify(self, request: Request) -> Response:
        """GET /verify."""
        self._gateway.require(request)
        sid = parse(request.query, ("sid",)).get("sid", "")
        session = await self._auth.find(sid) if is_session_id(sid) else None
        if session is None:
            raise NotFoundError("there is no such session")
        return self._facts(fact_of(session))

    def _answer(self, tokens: TokensEntry, *, cookie: bool) -> Response:
        response = self._tokens(tokens)
        if cookie:
            response.headers.append(self._cookie.set(tokens.access_token, tokens.expires_in))
        return response

    async def _credentials(self, request: Request) -> Credentials:
        """An Authorization header counts before the cookie. One of another scheme is refused, not passed over."""
        authorization = request.headers.get(b"authorization")
        access = self._cookie.read(request)
        if authorization is not None:
            scheme, _, value = authorization.decode("latin-1").partition(" ")
            if scheme.lower() != "bearer":
                raise UnauthenticatedError("Authorization must be `Bearer <access token>`")
            access = value.strip()
        return Credentials(access, (await read_body(request, LogoutBody, empty=b"{}")).refresh_token)
