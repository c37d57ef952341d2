"""What a Manager answers: records of one Entry type, made into objects or bytes only when asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic

import msgspec
from msgspec.structs import replace

from coffee_core.domain.ids import EntryT
from coffee_core.domain.search import Cursor, SearchQuery
from coffee_core.rest.dao_provider import Row
from coffee_core.rest.rows import Projection


class Page(msgspec.Struct, Generic[EntryT], eq=False):
    """`version` and `key` (the id) are those of a single record. `next` and `previous` are the places where the pages
    behind and before it begin, if there may be such."""

    count: int
    entries: Callable[[], Sequence[EntryT]]
    """Makes the records as objects."""
    encode: Callable[[], bytes]
    """Makes the records as a JSON array."""
    version: int | None = None
    key: object = None
    next: Cursor | None = None
    previous: Cursor | None = None

    def lies_at(self, query: SearchQuery, projection: Projection, rows: Sequence[Row]) -> None:
        """It is what `query` found. Where it was begun from one turns round; beyond its other end there may be more
        where it is full."""
        begun, beyond = query.after, None
        backwards = begun is not None and begun.backwards
        if len(rows) == query.size:
            last = rows[0 if backwards else -1]
            sort_value = last[projection.columns.index(query.sort_by)]
            beyond = Cursor(sort_value, last[projection.id_at], before=backwards, backwards=backwards)
        turned = None if begun is None else replace(begun, backwards=not backwards)
        self.previous, self.next = (beyond, turned) if backwards else (turned, beyond)


class Envelope(msgspec.Struct, Generic[EntryT], eq=False):
    """A page and what is said about it: see `coffee_core.domain.envelope` for its form on the wire."""

    page: Page[EntryT]
    total: int | None = None
    locked: bytes = b""
    """The locked fields' wire names as a JSON array, or empty."""
    message: bytes = b'""'
    """A JSON string."""

    def entries(self) -> Sequence[EntryT]:
        """The records as objects."""
        return self.page.entries()

    def encode(self, next_cursor: str | None = None) -> bytes:
        """The envelope as JSON."""
        page = self.page
        total = b"null" if self.total is None else b"%d" % self.total
        body = b'{"data":%b,"count":%d,"totalCount":%b,"status":{"status":"SUCCESS","message":%b' % (
            page.encode(),
            page.count,
            total,
            self.message,
        )
        if next_cursor is not None:
            body += b',"nextCursor":"%b"' % next_cursor.encode("ascii")
        if self.locked:
            body += b',"lockedFields":%b' % self.locked
        return body + b"}}"
