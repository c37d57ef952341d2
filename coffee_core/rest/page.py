"""What a Manager answers: records of one Entry type, made into objects or bytes only when asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic

from coffee_core.domain.ids import EntryT
from coffee_core.domain.search import Cursor


class Page(Generic[EntryT]):
    """`version` and `key` (the id) are those of a single record. `next` is the place after the last one,
    if there may be more."""

    __slots__ = ("count", "encode", "entries", "key", "next", "version")

    def __init__(
        self,
        count: int,
        entries: Callable[[], Sequence[EntryT]],
        encode: Callable[[], bytes],
        *,
        version: int | None = None,
        key: object = None,
        next_place: Cursor | None = None,
    ) -> None:
        self.count = count
        self.entries = entries
        """Makes the records as objects."""
        self.encode = encode
        """Makes the records as a JSON array."""
        self.version = version
        self.key = key
        self.next = next_place


class Envelope(Generic[EntryT]):
    """A page and what is said about it: see `coffee_core.domain.envelope` for its form on the wire."""

    __slots__ = ("locked", "message", "page", "total")

    def __init__(
        self, page: Page[EntryT], *, total: int | None = None, locked: bytes = b"", message: bytes = b'""'
    ) -> None:
        self.page = page
        self.total = total
        self.locked = locked
        """The locked fields' wire names as a JSON array, or empty."""
        self.message = message
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
