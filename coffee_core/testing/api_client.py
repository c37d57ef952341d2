"""Calls an application in process as one caller: through the whole pipeline, without a socket."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import httpx2
import orjson
from pydantic import BaseModel

from coffee_core.domain.context import RequestContext
from coffee_core.domain.event import Event
from coffee_core.domain.plan import Plan
from coffee_core.persistence.unit_of_work import acting_as, begin_transaction
from coffee_core.rest.container import Listener

Query: TypeAlias = Mapping[str, str | int | bool]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def json(self) -> Any:  # whatever the application wrote
        """The body, read as JSON."""
        return orjson.loads(self.body)

    @property
    def data(self) -> list[dict[str, Any]]:
        """The records of a success; of a problem it is an AssertionError that shows it."""
        assert 200 <= self.status < 300, f"{self.status}: {self.body.decode(errors='replace')}"
        found: list[dict[str, Any]] = self.json["data"]
        return found


@dataclass(frozen=True, slots=True)
class ApiClient:
    """One caller of the application behind `http`; the others are made from it.

    Bodies are JSON values, or an Entry, of which the fields that were set are sent. Paths begin with the service:
    `await api.post("/notes-service/api/note", {"title": "Buy beans"})`.
    """

    http: httpx2.AsyncClient
    loop: asyncio.AbstractEventLoop
    """The event loop on which the application was started."""
    partner: int | None = None
    """None is a caller without a session."""
    plan: Plan = Plan.PAID
    user: int = 1
    listeners: Sequence[Listener] = ()
    """Of the application's modules: see `deliver`."""

    def as_partner(self, partner: int, *, plan: Plan = Plan.PAID, user: int = 1) -> ApiClient:
        """Somebody of another partner."""
        return replace(self, partner=partner, plan=plan, user=user)

    def on_plan(self, plan: Plan) -> ApiClient:
        """The same caller, after the partner has bought another plan."""
        return replace(self, plan=plan)

    def without_session(self) -> ApiClient:
        """Somebody who is not logged in."""
        return replace(self, partner=None)

    async def get(self, path: str, *, query: Query | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        """GET."""
        return await self.request("GET", path, query=query, headers=headers)

    async def post(
        self, path: str, body: object = None, *, query: Query | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """POST."""
        return await self.request("POST", path, body, query=query, headers=headers)

    async def put(self, path: str, body: object, *, headers: Mapping[str, str] | None = None) -> Answer:
        """PUT."""
        return await self.request("PUT", path, body, headers=headers)

    async def patch(self, path: str, body: object, *, headers: Mapping[str, str] | None = None) -> Answer:
        """PATCH."""
        return await self.request("PATCH", path, body, headers=headers)

    async def delete(
        self, path: str, *, query: Query | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """DELETE."""
        return await self.request("DELETE", path, query=query, headers=headers)

    async def deliver(self, event: Event) -> None:
        """Let the modules' listeners handle an event that this caller's work has raised, each in its own transaction.

        What a listener raises is raised here. An event that nobody listens to is a `LookupError`.
        """
        topic = type(event).topic
        meant = [each for each in self.listeners if each.topic == topic and isinstance(event, each.event)]
        if not meant:
            raise LookupError(f"no module listens to {type(event).__name__} on {topic}")
        for listener in meant:
            caller = RequestContext(
                request_id=str(uuid.uuid4()), partner_id=self.partner, user_id=self.user, plan=self.plan
            )
            async with acting_as(caller):
                begin_transaction()
                await listener.handle(event)

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Any method. A body of bytes is sent as it is; None is no body."""
        if asyncio.get_running_loop() is not self.loop:
            raise RuntimeError(
                "the application runs on another event loop than this test: set asyncio_default_fixture_loop_scope "
                'and asyncio_default_test_loop_scope to "session"'
            )
        sent = {**self._identity(), **(headers or {})}
        content: bytes | None = None
        if isinstance(body, BaseModel):
            content = orjson.dumps(body.model_dump(mode="json", by_alias=True, exclude_unset=True))
        elif isinstance(body, bytes):
            content = body
        elif body is not None:
            content = orjson.dumps(body)
        if content is not None:
            sent = {"content-type": "application/json", **sent}
        answer = await self.http.request(method, path, params=query, content=content, headers=sent)
        return Answer(
            answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.content
        )

    def _identity(self) -> dict[str, str]:
        if self.partner is None:
            return {}
        return {"x-bb-partner-id": str(self.partner), "x-bb-uid": str(self.user), "x-bb-plan-type": self.plan.name}
