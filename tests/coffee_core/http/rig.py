"""An application of a few routes, asked directly: no server between a test and the pipeline."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from coffee_core.domain.plan import Plan
from coffee_core.http.application import Application
from coffee_core.http.settings import HttpSettings
from coffee_core.observability.error_tracker import ErrorReport
from coffee_core.observability.settings import ObservabilitySettings
from coffee_core.persistence.unit_of_work import Isolation, Transaction
from coffee_core.rest.route import Route
from coffee_core.wire.identity import Caller, sign
from coffee_core.wire.message import BufferedBody, Handler, Request, Response

KEY = "a key of the tests, long enough: 32 bytes"
PARTNER_7 = {b"x-bb-partner-id": b"7", b"x-bb-account-id": b"8", b"x-bb-uid": b"9", b"x-bb-plan-type": b"SAAS"}
CALLER_7 = Caller("7", "8", "9", "SAAS")
SETTINGS = HttpSettings(access_log="off")


class Reports(list[ErrorReport]):
    """An error tracker that keeps what it is given."""

    def report(self, report: ErrorReport) -> None:
        self.append(report)


class Store:
    """A store with transactions that only remembers how they ended."""

    def __init__(self, *, commit: Callable[[], Awaitable[None]] | None = None) -> None:
        self.ended: list[str] = []
        self._commit = commit

    async def begin(self, isolation: Isolation) -> Transaction:
        return _Transaction(self.ended, self._commit)


class _Transaction:
    def __init__(self, ended: list[str], commit: Callable[[], Awaitable[None]] | None) -> None:
        self._ended = ended
        self._commit = commit

    async def commit(self) -> None:
        if self._commit is not None:
            await self._commit()
        self._ended.append("committed")

    async def rollback(self) -> None:
        self._ended.append("rolled back")


def route(
    handler: Handler, path: str = "/api/thing", *, method: str = "GET", public: bool = False, plan: Plan = Plan.FREE
) -> Route:
    name = f"{method}{path}".translate(str.maketrans("/{}-", "____"))
    return Route(method=method, path=path, handler=handler, name=name, summary="", public=public, plan=plan)


async def hello(_: Request) -> Response:
    return Response(200, b'{"hello":"there"}')


def application(*routes: Route, settings: HttpSettings = SETTINGS, **more: Any) -> Application:
    return Application({"thing-service": routes}, settings=settings, observability=ObservabilitySettings(), **more)


def request(
    path: str = "/thing-service/api/thing",
    *,
    method: str = "GET",
    headers: Mapping[bytes, bytes] = PARTNER_7,
    query: bytes = b"",
    body: bytes = b"",
    client: str = "203.0.113.9",
) -> Request:
    return Request(method, path, query, headers, BufferedBody(body), client=client)


def problem(response: Response) -> dict[str, Any]:
    assert response.content_type == b"application/problem+json"
    found = orjson.loads(response.body)
    assert isinstance(found, dict)
    assert found["status"] == response.status
    return found


def header(response: Response, name: bytes) -> bytes | None:
    return dict(response.headers).get(name)


def signed(
    caller: Caller = CALLER_7,
    *,
    plain: Mapping[bytes, bytes] = PARTNER_7,
    audience: str = "saas",
    key: str = KEY,
    lifetime: float = 60,
) -> dict[bytes, bytes]:
    """The headers of a caller with the gateway's statement."""
    statement = sign(caller, audience=audience, key=key.encode(), now=time.time(), lifetime=lifetime)
    return {**plain, b"x-bb-identity": statement.encode()}


async def body_of(response: Response) -> bytes:
    if response.stream is None:
        return response.body
    return b"".join([chunk async for chunk in response.stream])
