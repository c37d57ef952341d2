"""The page at `/_gateway/` and its API at `/_gateway/api/`: a Starlette application.

The verdict has seen to it that the API is asked by an operator's session, and a cookie's request by a page of ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from urllib.parse import quote

import msgspec
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coffee_core.cache.stats import BUCKETS
from coffee_core.domain.errors import InputError, UnavailableError
from gateway.data_plane.metrics import BOUNDS
from gateway.operator.audit import AuditLog, who
from gateway.operator.figures import KEPT, TICK, Figures
from gateway.operator.rotation import Rotation
from gateway.operator.services import Services

TYPES = {"html": "text/html; charset=utf-8", "js": "text/javascript", "css": "text/css"}
SERVED = ("index.html", "page.css", "main.js", "charts.js", "views.js", "api.js")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SESSIONS = "/identity-service/api/sessions"


def make_app(figures: Figures, audit: AuditLog, services: Services, rotation: Rotation) -> Starlette:
    """The application; nothing is opened here."""
    api = OperatorApi(figures, audit, services, rotation)
    base = "/_gateway/api"
    return Starlette(
        routes=[
            Route(f"{base}/me", api.me),
            Route(f"{base}/figures", api.figures),
            Route(f"{base}/sessions", api.find_sessions),
            Route(f"{base}/sessions", api.end_sessions, methods=["DELETE"]),
            Route(f"{base}/sessions/{{sid}}", api.end_session, methods=["DELETE"]),
            Route(f"{base}/partners", api.partners),
            Route(f"{base}/acts", api.acts),
            Route(f"{base}/rotation", api.rotate, methods=["PUT"]),
            Route("/_gateway", page),
            Route("/_gateway/", page),
            Route("/_gateway/{file}", page),
        ]
    )


async def page(request: Request) -> Response:
    """The page, or one of its files."""
    name = request.path_params.get("file") or "index.html"
    if name not in SERVED:
        return _problem(request, 404, "nothing is here")
    content = files("gateway.operator").joinpath("page", name).read_bytes()
    headers = {
        "content-type": TYPES[name.rpartition(".")[2]],
        "content-security-policy": POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
    }
    return Response(content, headers=headers)


class OperatorApi:
    """One method a route."""

    def __init__(self, figures: Figures, audit: AuditLog, services: Services, rotation: Rotation) -> None:
        self._figures = figures
        self._audit = audit
        self._services = services
        self._rotation = rotation

    async def me(self, request: Request) -> Response:
        """Who is asking."""
        return _json({"uid": _who(request)["uid"], "audit": str(self._audit.path)})

    async def figures(self, request: Request) -> Response:
        """Ticks after `since`, and the present."""
        since = request.query_params.get("since", "0")
        if not (since.isascii() and since.isdigit()) or len(since) > 12:
            return _problem(request, 400, "`since` is the number of a tick")
        ticks, workers = self._figures.all(int(since))
        said = {
            "tickSeconds": TICK, "kept": KEPT, "bounds": BOUNDS, "lagBounds": BUCKETS,
            "beating": self._rotation.beating, "ticks": ticks, "workers": workers,
        }  # fmt: skip
        return Response(msgspec.json.encode(said), headers=NO_STORE)

    async def find_sessions(self, request: Request) -> Response:
        """Sessions of a user (`email`, `userId`), a partner (`partnerId`) or anybody."""
        asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in request.query_params.items())
        return await self._act(
            request, "sessions.find", asked or "everybody",
            lambda: self._services.ask(request, "GET", f"{SESSIONS}?{asked or 'everybody=true'}&size=100"),
        )  # fmt: skip

    async def end_session(self, request: Request) -> Response:
        """One session."""
        sid = request.path_params["sid"]
        return await self._act(
            request, "session.end", sid,
            lambda: self._services.ask(request, "DELETE", f"{SESSIONS}/{quote(sid, safe='')}"),
        )  # fmt: skip

    async def end_sessions(self, request: Request) -> Response:
        """All sessions of a user."""
        user = request.query_params.get("userId", "")
        if not (user.isascii() and user.isdigit()):
            return _problem(request, 400, "say whose: `userId`")
        return await self._act(
            request, "sessions.end-all", f"user {user}",
            lambda: self._services.ask(request, "DELETE", f"{SESSIONS}?userId={user}"),
        )  # fmt: skip

    async def partners(self, request: Request) -> Response:
        """Partners, each with its contracts and what it has used."""
        found = await self._services.partners(request)
        return _json({"partners": found})

    async def acts(self, _request: Request) -> Response:
        """The audit log's end."""
        return _json({"acts": self._audit.latest()})

    async def rotate(self, request: Request) -> Response:
        """`?beat=true|false`: back into rotation, or out of it."""
        try:
            _, body = await self._rotation.turn(_who(request), request.query_params.get("beat"))
        except InputError as error:
            return _problem(request, 400, error.detail)
        except UnavailableError as error:
            return _problem(request, 503, error.detail)
        return Response(body, headers=NO_STORE)

    async def _act(
        self, request: Request, act: str, target: str, work: Callable[[], Awaitable[tuple[int, bytes]]]
    ) -> Response:
        if len(target) > LONGEST:  # the log has to say all of it
            return _problem(request, 400, f"the query has more than {LONGEST} characters")
        try:
            status, body = await self._audit.act(_who(request), act, target, work)
        except UnavailableError as error:
            return _problem(request, 503, error.detail)
        kind = "application/problem+json" if status >= 400 else "application/json"
        return Response(body, status, headers={**NO_STORE, "content-type": kind})


LONGEST = 300
"""Characters of what an act is about, as the audit log says it."""
NO_STORE = {"content-type": "application/json", "cache-control": "no-store"}


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), headers=NO_STORE)


def _who(request: Request) -> dict[str, str]:
    client = request.client
    return who(lambda name: request.headers.get(name, ""), client.host if client else "")


def _problem(request: Request, status: int, detail: str) -> Response:
    body = {
        "type": "about:blank", "title": "", "status": status, "detail": detail, "instance": request.url.path,
        "requestId": request.headers.get("x-bb-requestid", ""), "errors": [], "statusMessage": detail,
    }  # fmt: skip
    return Response(orjson.dumps(body), status, headers={**NO_STORE, "content-type": "application/problem+json"})
