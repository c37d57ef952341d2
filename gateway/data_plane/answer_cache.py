"""Answers that are kept, least recently used first out, within so many bytes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from coffee_core.wire.head import RequestHead
from gateway.data_plane.cache_rules import CacheSettings, varied
from gateway.verdict.decision import Forward

OVERHEAD: Final = 1000
"""Bytes of an entry besides what it says, estimated."""

Uri = tuple[str, bytes]
"""Upstream and target: what a write makes out of date."""


class Key(NamedTuple):
    """Whose answer to what. Names of headers that it varies by come on top."""

    uri: Uri
    host: bytes
    """It is told to the upstream, so an answer may depend on it."""
    partner: bytes
    plan: bytes
    uid: bytes


def key_of(upstream: str, request: RequestHead, decision: Forward, settings: CacheSettings) -> Key:
    """As wide as the route's scope, and no wider."""
    scope = settings.scope
    return Key(
        (upstream, decision.target),
        request.host.lower(),
        decision.passage.partner if scope in ("user", "partner") else b"",
        decision.passage.plan if scope != "everybody" else b"",
        decision.passage.uid if scope == "user" else b"",
    )


class Entry:
    """A whole answer, as the upstream gave it end to end."""

    __slots__ = ("body", "etag", "lines", "made", "names", "said", "status", "until")

    def __init__(
        self, status: int, lines: bytes, names: tuple[bytes, ...], said: tuple[bytes, ...], etag: bytes
    ) -> None:
        self.status = status
        self.lines = lines
        """Status line and headers."""
        self.body = b""
        self.names = names
        """Headers of requests that it varies by, and what this one's request said in them."""
        self.said = said
        self.etag = etag
        self.made = 0.0
        self.until = 0.0

    def meant_for(self, request: RequestHead) -> bool:
        """Whether the request says the same in what it varies by."""
        return not self.names or varied(self.names, request) == self.said

    @property
    def size(self) -> int:
        """Bytes that it counts for."""
        return len(self.lines) + len(self.body) + sum(map(len, self.said)) + OVERHEAD


class AnswerCache:
    """Of one process. For each key there are as many entries as requests differed in what the answers vary by."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[Key, tuple[bytes, ...]], Entry] = OrderedDict()
        self._variants: dict[Key, tuple[bytes, ...]] = {}
        self._by_uri: dict[Uri, set[tuple[Key, tuple[bytes, ...]]]] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: Key, request: RequestHead, now: float) -> Entry | None:
        """A fresh one."""
        names = self._variants.get(key)
        if names is None:
            return None
        place = (key, varied(names, request))
        entry = self._kept.get(place)
        if entry is None:
            return None
        if entry.until <= now:
            self._drop(place)
            return None
        self._kept.move_to_end(place)
        return entry

    def keep(self, key: Key, entry: Entry) -> None:
        """For as long as it is fresh and there is room."""
        if self._variants.get(key, entry.names) != entry.names:
            for place in [place for place in self._by_uri.get(key.uri, ()) if place[0] == key]:
                self._drop(place)
        place = (key, entry.said)
        if place in self._kept:
            self._drop(place)
        self._variants[key] = entry.names
        self._kept[place] = entry
        self._by_uri.setdefault(key.uri, set()).add(place)
        self.bytes += entry.size
        while self.bytes > self._most and self._kept:
            self._drop(next(iter(self._kept)))

    def forget(self, uri: Uri) -> None:
        """Something was written there: nobody's answer counts any more."""
        for place in list(self._by_uri.get(uri, ())):
            self._drop(place)

    def _drop(self, place: tuple[Key, tuple[bytes, ...]]) -> None:
        entry = self._kept.pop(place)
        self.bytes -= entry.size
        key = place[0]
        places = self._by_uri[key.uri]
        places.discard(place)
        if not any(other[0] == key for other in places):
            self._variants.pop(key, None)
        if not places:
            del self._by_uri[key.uri]
