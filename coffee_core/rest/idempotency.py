"""Idempotency-Key: a POST that is sent again is done once and answered alike.

After draft-ietf-httpapi-idempotency-key-header-07; docs/decisions/0100 says where we decided.
The answer is stored by the transaction of the write itself: there is an answer if and only if there is the write.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable
from dataclasses import replace
from typing import Protocol

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from coffee_core.domain.context import current
from coffee_core.domain.errors import ConflictError, FieldError, InputError, RuleError
from coffee_core.persistence.idempotency import Kept, Scope
from coffee_core.persistence.serializable import StrongerIsolationError, finish, serializable
from coffee_core.persistence.unit_of_work import UnitOfWork, begin_transaction, current_work
from coffee_core.rest import dry_run
from coffee_core.rest.route import Parameter, Route
from coffee_core.wire.message import BufferedBody, Handler, Request, Response

HEADER = "Idempotency-Key"
REPLAYED = (b"idempotent-replayed", b"true")
"""On every answer that is repeated from the table."""

KEY_MAX = 255
_KEY = re.compile(rb'"([!#-\[\]-~]{1,255})"|([!#-\[\]-~]{1,255})').fullmatch
"""A structured field's String (RFC 9651 section 3.3.3) without escapes, or the same without its quotes, as many clients
send it: visible ASCII but for the quote and the backslash."""

NEVER_KEPT = frozenset({b"set-cookie", b"date", b"connection", b"usage-cost", b"usage-remaining", b"usage-reset"})
"""Headers that are about the first answer alone: a repeated one costs nothing."""

PARAMETER = Parameter(
    name=HEADER,
    where="header",
    description="Makes the request repeatable: the same key with the same request is done once and answered alike.",
)


class IdempotencySettings(BaseSettings):
    """Bounds of repeatable requests."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_IDEMPOTENCY_", use_attribute_docstrings=True)

    hours: float = Field(default=24.0, gt=0)
    """How long an answer is kept; after that the same key is a new request."""
    body_bytes_max: int = Field(default=33_554_432, ge=1)
    """Bytes of a request's body with a key: it is held in memory. The operation's own bound counts too."""
    answer_bytes_max: int = Field(default=1_048_576, ge=0)
    """Bytes of an answer that is kept. A longer one is answered once; the repeated request is 409 and says so."""
    attempts: int = Field(default=3, ge=1, le=20)
    """Attempts of an operation that runs under SERIALIZABLE."""


class IdempotencyStore(Protocol):
    """Where answers are kept; `coffee_core.persistence.idempotency` says what each does."""

    async def claim(self, work: UnitOfWork, scope: Scope) -> bool:
        """Whether no other request has this key in hand."""
        ...

    async def find(self, work: UnitOfWork, scope: Scope, hours: float) -> Kept | None:
        """What was answered within the last `hours`."""
        ...

    async def keep(self, work: UnitOfWork, scope: Scope, answer: Kept) -> None:
        """Store an answer with the unit of work."""
        ...


class Idempotency:
    """Wraps the handlers of routes that are declared `repeatable`. Without the header they cost one look-up in it."""

    def __init__(self, store: IdempotencyStore, settings: IdempotencySettings | None = None) -> None:
        self._store = store
        self.settings = settings or IdempotencySettings()

    def route(self, route: Route) -> Route:
        """The route with a handler that knows the header, and a description that says so; others as they are."""
        if not route.repeatable:
            return route
        return replace(
            route,
            handler=self.handler(route.handler),
            parameters=(*route.parameters, PARAMETER),
            errors=tuple(sorted({*route.errors, 409, 413, 422})),
        )

    def handler(self, following: Handler) -> Handler:
        """`following`, once for each key."""

        def handle(request: Request) -> Awaitable[Response]:
            raw = request.headers.get(b"idempotency-key")
            if raw is None:
                return following(request)
            if dry_run.asked(request.query):  # it stores nothing, so there is nothing to repeat
                scope_of(raw)
                return following(request)
            return self._once(raw, request, following)

        return handle

    async def _once(self, raw: bytes, request: Request, following: Handler) -> Response:
        scope = scope_of(raw)
        body = await request.body.read(self.settings.body_bytes_max)  # before a connection is held
        request.body = BufferedBody(body)
        fingerprint = fingerprint_of(request, body)
        work = current_work()

        async def attempt() -> Response:
            begin_transaction()
            return await self._attempt(work, scope, fingerprint, request, following)

        if work.repeating:
            return await attempt()
        work.repeating = True
        try:
            return await attempt()
        except StrongerIsolationError:
            await finish(work.rollback())
        finally:
            work.repeating = False
        return await serializable(attempt, attempts=self.settings.attempts)

    async def _attempt(
        self, work: UnitOfWork, scope: Scope, fingerprint: bytes, request: Request, following: Handler
    ) -> Response:
        if not await self._store.claim(work, scope):
            raise ConflictError("a request with this Idempotency-Key is being worked on: ask again when it has ended")
        kept = await self._store.find(work, scope, self.settings.hours)
        if kept is not None:
            await finish(work.rollback())  # nothing to store: the connection is free again
            return replayed(kept, fingerprint)
        response = await following(request)
        if response.status >= 400:
            await finish(work.rollback())
        elif response.stream is None:
            await self._store.keep(work, scope, self._kept(response, fingerprint))
        return response

    def _kept(self, response: Response, fingerprint: bytes) -> Kept:
        headers = [
            part.decode("latin-1")
            for name, value in response.headers
            if name.lower() not in NEVER_KEPT
            for part in (name, value)
        ]
        media = response.content_type
        small = len(response.body) <= self.settings.answer_bytes_max
        return Kept(
            fingerprint,
            response.status,
            None if media is None else media.decode("latin-1"),
            headers,
            response.body if small else None,
        )


def scope_of(raw: bytes) -> Scope:
    """The key as it was sent, for the caller in hand. A malformed one, or one without a session, is `InputError`."""
    found = _KEY(raw)
    if found is None:
        detail = f'must be one text of 1 to {KEY_MAX} visible ASCII characters, like "8e03978e-40d5-43e8"'
        raise InputError(f"{HEADER} {detail}", errors=[FieldError(HEADER, detail)])
    context = current()
    if context.partner_id is None:
        detail = "needs a session: keys belong to their caller"
        raise InputError(f"{HEADER} {detail}", errors=[FieldError(HEADER, detail)])
    return Scope(context.partner_id, context.user_id or 0, (found[1] or found[2]).decode("ascii"))


def fingerprint_of(request: Request, body: bytes) -> bytes:
    """SHA-256 of what makes two requests the same: method, path, query, media type, body, and the plan, which decides
    what an answer shows."""
    digest = hashlib.sha256()
    media, plan = request.headers.get(b"content-type", b""), b"%d" % current().plan
    for part in (request.method.encode(), request.path.encode(), request.query, media, body, plan):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def replayed(kept: Kept, fingerprint: bytes) -> Response:
    """The answer again; another request under its key is `RuleError` (422, section 2.7 of the draft)."""
    if kept.fingerprint != fingerprint:
        raise RuleError("this Idempotency-Key was used for another request: choose a new one for each request")
    if kept.body is None:
        raise ConflictError("this request was done, but its answer was too large to keep: read what is stored")
    pairs = iter(kept.headers)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in zip(pairs, pairs, strict=True)]
    media = kept.content_type
    return Response(
        kept.status,
        kept.body,
        content_type=None if media is None else media.encode("latin-1"),
        headers=[*headers, REPLAYED],
    )
