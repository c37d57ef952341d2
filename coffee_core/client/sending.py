"""Sending: what may be sent again is, and every answer that is no success becomes an error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import orjson

from coffee_core.client.problems import error_of
from coffee_core.domain.errors import LimitError, NotFoundError, UnavailableError
from coffee_core.resilience.retry import Backoff, Retry

SAFE = frozenset({"GET", "PUT", "DELETE"})
"""Methods that do the same when they are sent twice (RFC 9110 section 9.2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One request, below the base path of a resource."""

    method: str
    path: str = ""
    query: Mapping[str, str] | None = None
    body: object = None
    etag: str | None = None
    """If-Match: the write is for this version alone."""
    known: str | None = None
    """If-None-Match: this version need not come again."""
    idempotency_key: str | None = None
    reads: bool = False
    """It is a POST that changes nothing."""

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again when nobody knows whether it was done. A PUT for one version may not: done
        already, it would be refused."""
        if self.reads or self.idempotency_key is not None:
            return True
        return self.method in SAFE and not (self.method == "PUT" and self.etag is not None)

    def headers(self) -> dict[str, str]:
        """Those of its own."""
        given = {
            "content-type": None if self.body is None else "application/json",
            "if-match": self.etag,
            "if-none-match": self.known,
            "idempotency-key": self.idempotency_key,
        }
        return {name: value for name, value in given.items() if value is not None}


class Sender:
    """Sends to one resource. A request that may be repeated is, when the service cannot be reached, answers 429, 502 or
    503, and does not ask for a longer wait than `Backoff.longest_seconds`."""

    def __init__(self, http: httpx2.AsyncClient, base: str, backoff: Backoff | None) -> None:
        self._http = http
        self._base = base
        self._retry = Retry(backoff, when=_worth_it)

    async def send(self, outgoing: Outgoing) -> httpx2.Response:
        """The whole answer: a success, or 304 for what is known."""
        tries = 0

        async def once() -> httpx2.Response:
            nonlocal tries
            tries += 1
            try:
                answer = await self._http.send(self._request(outgoing))
            except httpx2.TransportError as error:
                raise self._gone(error) from error
            if not (answer.is_success or (answer.status_code == 304 and outgoing.known is not None)):
                raise error_of(answer)
            return answer

        if not outgoing.repeatable:
            return await once()
        try:
            return await self._retry(once)
        except NotFoundError:
            if outgoing.method == "DELETE" and tries > 1:  # the first one was done, and its answer got lost
                return httpx2.Response(204)
            raise

    @asynccontextmanager
    async def stream(self, outgoing: Outgoing) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of an answer. Begun again only until its head is there; `UnavailableError` where it breaks off."""

        async def begin() -> httpx2.Response:
            try:
                answer = await self._http.send(self._request(outgoing), stream=True)
                if not answer.is_success:
                    await answer.aread()
            except httpx2.TransportError as error:
                raise self._gone(error) from error
            if not answer.is_success:
                raise error_of(answer)
            return answer

        answer = await (self._retry(begin) if outgoing.repeatable else begin())
        try:
            yield answer.aiter_lines()
        except httpx2.TransportError as error:
            raise UnavailableError(f"{self._base} broke off its answer: {type(error).__name__}") from error
        finally:
            await answer.aclose()

    def _request(self, outgoing: Outgoing) -> httpx2.Request:
        return self._http.build_request(
            outgoing.method,
            self._base + outgoing.path,
            params=outgoing.query,
            content=None if outgoing.body is None else orjson.dumps(outgoing.body, default=str),
            headers=outgoing.headers(),
        )

    def _gone(self, error: httpx2.TransportError) -> UnavailableError:
        return UnavailableError(f"{self._base} cannot be reached: {type(error).__name__}", retry_after=0)


def _worth_it(error: Exception) -> bool:
    return isinstance(error, UnavailableError | LimitError)
