"""`/auth/google`: a browser goes out, and comes back."""

from __future__ import annotations

from urllib.parse import urlsplit

from coffee_core.domain.errors import UnauthenticatedError
from coffee_core.rest.parameters import parse
from coffee_core.rest.route import Parameter, Route
from coffee_core.wire.message import Request, Response
from modules.identity.answers import NO_STORE, Answers, SessionCookie, cookie_of
from modules.identity.auth import Auth, client_of
from modules.identity.entry import TokensEntry
from modules.identity.google import Google
from modules.identity.settings import IdentitySettings

BASE = "/api/auth/google"
COOKIE = "coffee_google"
GIVEN = ("code", "state", "scope", "authuser", "prompt", "hd", "iss", "error", "error_description", "error_uri")
"""What Google adds to the way back; the first two and `error` are looked at."""


class GoogleApi:
    """Public. Signs in users who exist, by their verified address; makes none."""

    def __init__(self, auth: Auth, google: Google, settings: IdentitySettings) -> None:
        self._auth = auth
        self._google = google
        self._session = SessionCookie(settings)
        self._tokens = Answers(TokensEntry)
        self._return_url = settings.google_return_url
        self._seconds = settings.google_seconds
        path = urlsplit(settings.google_redirect_uri).path.rpartition("/")[0] or "/"
        secure = "; Secure" if settings.cookie_secure else ""
        # Lax, whatever the session cookie is: it has to come along when Google sends the browser back
        self._rules = f"; Path={path}; HttpOnly{secure}; SameSite=Lax"

    def routes(self) -> list[Route]:
        """Both."""
        back = tuple(
            Parameter(name=name, where="query", description="As Google sends it.")
            for name in ("code", "state", "error")
        )
        return [
            Route(
                method="GET", path=BASE, handler=self.begin, name="auth_google", status=303, public=True,
                summary="Sign in with Google: sends the browser there", answer_media="", errors=(404,), tags=("auth",),
            ),
            Route(
                method="GET", path=f"{BASE}/callback", handler=self.finish, name="auth_google_callback", public=True,
                summary="The way back from Google", parameters=back, data=TokensEntry, errors=(404,), tags=("auth",),
            ),
        ]  # fmt: skip

    async def begin(self, request: Request) -> Response:
        """GET /google."""
        parse(request.query, ())
        url, kept = self._google.begin()
        cookie = f"{COOKIE}={kept}; Max-Age={self._seconds}{self._rules}".encode()
        headers = [(b"location", url.encode("ascii")), (b"set-cookie", cookie), NO_STORE]
        return Response(303, content_type=None, headers=headers)

    async def finish(self, request: Request) -> Response:
        """GET /google/callback."""
        given = parse(request.query, GIVEN)
        begun = self._google.recall(cookie_of(request, COOKIE), given.get("state", ""))
        await self._auth.use_state(begun.state)
        if not given.get("code"):
            raise UnauthenticatedError("Google did not let you in: begin again")
        email, login = await self._google.email(given["code"], begun)
        tokens = await self._auth.login_as(email, client_of(request.headers.get(b"user-agent")), login)
        response = self._tokens(tokens)
        if self._return_url is not None:
            location = (b"location", self._return_url.encode("ascii"))
            response = Response(303, content_type=None, headers=[location, NO_STORE])
        response.headers.append(self._session.set(tokens.access_token, tokens.expires_in))
        response.headers.append((b"set-cookie", f"{COOKIE}=; Max-Age=0{self._rules}".encode()))
        return response
