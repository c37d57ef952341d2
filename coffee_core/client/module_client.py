"""A typed client for one resource of any module."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Generic
from urllib.parse import quote

import httpx2
import orjson

from coffee_core.client.answers import EntryReader, Found
from coffee_core.client.filters import to_wire
from coffee_core.client.sending import Outgoing, Sender
from coffee_core.domain.entry import Entry
from coffee_core.domain.envelope import EnvelopeModel
from coffee_core.domain.ids import EntryT, IdT
from coffee_core.domain.plan import Plan
from coffee_core.domain.search import EVERYTHING, CountMode, Node
from coffee_core.resilience.retry import Backoff
from coffee_core.rest.fields import describe, gates_of
from coffee_core.rest.patch import Patch
from coffee_core.rest.transfer.results import BulkResult


class ModuleClient(Generic[EntryT, IdT]):
    """`ModuleClient(ItemEntry, int, http, "item-service", "item")`; `http` has the base URL, time-outs and headers.

    Errors are those of `coffee_core.domain.errors`, as if the module were called in process. Reads, deletes, whole
    replacements and whatever has an idempotency key are sent again, as `backoff` says, when the service cannot be
    reached or asks to come back (429, 502, 503; Retry-After is kept). Other writes are sent once.
    """

    def __init__(
        self,
        entry: type[EntryT],
        id_type: type[IdT],
        http: httpx2.AsyncClient,
        service: str,
        resource: str,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        self.entry = entry
        self.id_type = id_type
        self.gates: Mapping[str, Plan] = gates_of(entry)
        """Fields that not every plan includes, and the plan that does. What was hidden in an answer says the answer:
        `Found.locked`, `locked()`."""
        self._reader: EntryReader[EntryT] = EntryReader(entry)
        self._sender = Sender(http, f"/{service}/api/{resource}", backoff)
        self._names = self._reader.names
        self._read_only = {field.name for field in describe(entry).values() if field.read_only}

    async def get(
        self, id: IdT, *, fields: Sequence[str] | None = None, known: Found[EntryT] | None = None
    ) -> Found[EntryT]:
        """One record; `NotFoundError` if there is none for this caller. `known` comes back as it is if it is still the
        newest version, and nothing but a head goes over the wire."""
        etag = None if known is None else known.etag
        answer = await self._sender.send(Outgoing(method="GET", path=_at(id), query=self._fields(fields), known=etag))
        if known is not None and answer.status_code == 304:
            return known
        return self._single(answer, partly=fields is not None)

    async def get_many(self, ids: Sequence[IdT], *, fields: Sequence[str] | None = None) -> Sequence[EntryT]:
        """Those of the records that are there."""
        query = {"ids": ",".join(map(str, ids)), **self._fields(fields)}
        answer = await self._sender.send(Outgoing(method="GET", query=query))
        return self._reader.envelope(answer.content, partly=fields is not None).data

    async def create(self, entry: EntryT, *, idempotency_key: str | None = None) -> Found[EntryT]:
        """A new record. Without a key it is sent once, because nobody knows whether it was stored; with one (a UUID of
        the caller's, kept for as long as he may try) the service does it once however often it comes."""
        return self._single(
            await self._sender.send(
                Outgoing(method="POST", body=self._document(entry), idempotency_key=idempotency_key)
            )
        )

    async def replace(self, id: IdT, entry: EntryT, *, etag: str | None = None) -> Found[EntryT]:
        """Every writable field."""
        return self._single(
            await self._sender.send(Outgoing(method="PUT", path=_at(id), body=self._document(entry), etag=etag))
        )

    async def patch(self, id: IdT, patch: Patch[EntryT], *, etag: str | None = None) -> Found[EntryT]:
        """The fields that are in the patch."""
        return self._single(
            await self._sender.send(Outgoing(method="PATCH", path=_at(id), body=self._changes(patch), etag=etag))
        )

    async def delete(self, id: IdT, *, etag: str | None = None) -> None:
        """Delete (or hide) a record."""
        await self._sender.send(Outgoing(method="DELETE", path=_at(id), etag=etag))

    async def restore(self, id: IdT, *, idempotency_key: str | None = None) -> Found[EntryT]:
        """Bring back what was hidden."""
        return self._single(
            await self._sender.send(Outgoing(method="POST", path=f"{_at(id)}/restore", idempotency_key=idempotency_key))
        )

    async def bulk(
        self,
        *,
        create: Sequence[EntryT] = (),
        upsert: Sequence[EntryT] = (),
        update: Mapping[IdT, Patch[EntryT]] | None = None,
        delete: Sequence[IdT] = (),
        atomic: bool = True,
        idempotency_key: str | None = None,
    ) -> Sequence[BulkResult]:
        """Many writes in one transaction, in this order; one result for each. Without `atomic` each is on its own, and
        the result of one that is refused says why. Of an `upsert` the fields that were set are sent."""
        body = {
            "create": [self._document(entry) for entry in create],
            "upsert": [self._document(entry, unset=False) for entry in upsert],
            "update": [{"id": id, **self._changes(patch)} for id, patch in (update or {}).items()],
            "delete": list(delete),
        }
        answer = await self._sender.send(
            Outgoing(
                method="POST",
                path="/bulk",
                query={"atomic": "true" if atomic else "false"},
                body={part: records for part, records in body.items() if records},
                idempotency_key=idempotency_key,
            )
        )
        return [BulkResult.model_validate(result) for result in orjson.loads(answer.content)["data"]]

    async def search(
        self,
        where: Node = EVERYTHING,
        *,
        sort_by: str = "id",
        descending: bool = False,
        page: int | None = None,
        size: int = 50,
        cursor: str | None = None,
        count: CountMode = CountMode.EXACT,
        text: str | None = None,
        fields: Sequence[str] | None = None,
    ) -> EnvelopeModel[EntryT]:
        """One page. The next one: the same call with `cursor=answer.status.next_cursor`; the one before a page that a
        cursor led to: with `cursor=answer.status.previous_cursor`."""
        query = {**self._order(sort_by, descending=descending), "size": str(size), "count": count.value}
        query |= self._fields(fields)
        for name, value in (("page", page), ("cursor", cursor), ("q", text)):
            if value is not None:
                query[name] = str(value)
        answer = await self._sender.send(
            Outgoing(
                method="POST", path="/search", query=query, body=self._filters(where), reads=True,
                idempotency_key=str(uuid.uuid4()),  # where a search costs something, one sent again costs once
            )
        )  # fmt: skip
        return self._reader.page(answer, partly=fields is not None)

    async def every(
        self,
        where: Node = EVERYTHING,
        *,
        sort_by: str = "id",
        descending: bool = False,
        size: int = 100,
        text: str | None = None,
        fields: Sequence[str] | None = None,
    ) -> AsyncIterator[EntryT]:
        """All that match, page after page, by cursor: right while records are being written."""
        cursor: str | None = None
        while True:
            page = await self.search(
                where, sort_by=sort_by, descending=descending, size=size, cursor=cursor, count=CountMode.NONE,
                text=text, fields=fields,
            )  # fmt: skip
            for entry in page.data:
                yield entry
            cursor = page.status.next_cursor
            if cursor is None:
                return

    async def export(
        self,
        where: Node = EVERYTHING,
        *,
        sort_by: str = "id",
        descending: bool = False,
        fields: Sequence[str] | None = None,
    ) -> AsyncIterator[EntryT]:
        """All that match, streamed from one snapshot: neither side holds more than a part of it."""
        query = {"format": "ndjson", **self._order(sort_by, descending=descending), **self._fields(fields)}
        outgoing = Outgoing(method="POST", path="/export", query=query, body=self._filters(where), reads=True)
        async with self._sender.stream(outgoing) as lines:
            async for line in lines:
                if line:
                    yield self._reader.line(line)

    def locked(self, envelope: EnvelopeModel[EntryT]) -> frozenset[str]:
        """The fields that the caller's plan hid in a page: they are None, whatever their type."""
        return self._reader.locked(envelope.status)

    def _order(self, sort_by: str, *, descending: bool) -> dict[str, str]:
        return {"sortBy": self._names.get(sort_by, sort_by), "sortDir": "DESC" if descending else "ASC"}

    def _fields(self, fields: Sequence[str] | None) -> dict[str, str]:
        return {} if fields is None else {"fields": self._reader.wire_names(fields)}

    def _filters(self, where: Node) -> dict[str, Any]:
        return {"filters": [] if where == EVERYTHING else [to_wire(where, self._names)]}

    def _document(self, entry: Entry, *, unset: bool = True) -> dict[str, Any]:
        return entry.model_dump(mode="json", by_alias=True, exclude=self._read_only, exclude_unset=not unset)

    def _changes(self, patch: Patch[EntryT]) -> dict[str, object]:
        return {self._names[name]: value for name, value in patch.values.items()}

    def _single(self, answer: httpx2.Response, *, partly: bool = False) -> Found[EntryT]:
        envelope = self._reader.envelope(answer.content, partly=partly)
        return Found(envelope.data[0], answer.headers.get("etag"), self._reader.locked(envelope.status))


def _at(id: object) -> str:
    """An id is one segment of the path, whatever it holds."""
    return "/" + quote(str(id), safe="")
