"""Routes that ask for it: answers that are kept, and equal requests that share one (`Cache-Status`, RFC 9211).

The verdict has been given before anything here is asked; what is added to a request of other routes is one look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from coffee_core.resilience.breaker import Clock
from coffee_core.wire.answer import status_line
from coffee_core.wire.head import RequestHead, ResponseHead
from gateway.data_plane.answer_cache import AnswerCache, Entry, Key, key_of
from gateway.data_plane.answer_head import end_to_end
from gateway.data_plane.cache_rules import (
    CacheSettings,
    cacheable_request,
    directives,
    freshness,
    seconds_of,
    shareable,
    varied,
    varies_by,
)
from gateway.data_plane.forwarding import Forwarding
from gateway.verdict.decision import Forward

AGE: Final = frozenset((b"age",))
"""What is kept has an age of its own."""

if TYPE_CHECKING:
    from gateway.data_plane.client_side import GatewayConnection
    from gateway.data_plane.upstreams import Upstream

_SAFE: Final = frozenset((b"GET", b"HEAD", b"OPTIONS"))
_APART: Final = 5.0
"""Seconds for which requests do not wait for each other after an answer that could not be shared."""
_MOST_APART: Final = 4096


class Waiting:
    """In a client's hand instead of a `Forwarding`: its answer is on its way to somebody else."""

    request_complete = True
    sent_at = 0.0
    answered_at = 0.0

    def __init__(self, flight: Flight, client: GatewayConnection, decision: Forward) -> None:
        self.flight = flight
        self.client = client
        self.decision = decision

    def body(self, data: bytes) -> None:
        """There is none."""

    def body_complete(self) -> None:
        """There is none."""

    def flush(self) -> None:
        """Nothing is sent."""

    def abandon(self) -> None:
        """The client has gone."""
        self.flight.waiting.pop(self, None)

    def client_full(self) -> None:
        """Of what came before: nothing comes yet."""

    def client_free(self) -> None:
        """Nothing was held up."""

    def sweep(self, now: float) -> None:
        """The one who asked has time-outs."""

    def tunnel_received(self, data: bytes) -> None:
        """Never."""

    def tunnel_ended(self) -> None:
        """Never."""


class Flight:
    """One request that others wait for, in the order they came."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.waiting: dict[Waiting, None] = {}


class Caching:
    """Of one front."""

    def __init__(self, routes: Mapping[str, CacheSettings], clock: Clock, *, most: int, largest: int) -> None:
        self.routes = routes
        self.largest = largest
        self.answers = AnswerCache(most)
        self.events = {"hit": 0, "miss": 0, "stale": 0, "bypass": 0, "collapsed": 0, "stored": 0}
        self._clock = clock
        self._flights: dict[Key, Flight] = {}
        self._apart: dict[Key, float] = {}

    def take_up(self, client: GatewayConnection, decision: Forward, upstream: Upstream) -> Asking | None:
        """`None`: the client has its answer, or waits for another's. Else it is to be forwarded as an `Asking` says."""
        settings, head, now = self.routes[decision.route], client.head, self._clock.now
        key = key_of(upstream.name, head, decision, settings)
        told = directives(head.headers)
        if not cacheable_request(head, decision) or b"no-store" in told:
            self.events["bypass"] += 1
            return Asking(self, settings, key, b"method" if head.method != b"GET" else b"bypass")
        entry = self.answers.find(key, head, now)
        if entry is not None:
            oldest = seconds_of(told.get(b"max-age"))
            if b"no-cache" not in told and (oldest is None or now - entry.made <= oldest):
                self.events["hit"] += 1
                self.serve(client, decision, entry, b"hit; ttl=%d" % (entry.until - now))
                return None
        if b"only-if-cached" in told:
            client.fail(504, "no answer is kept that this request could have")
            return None
        flight = self._flights.get(key) if settings.coalesce and b"no-cache" not in told else None
        if flight is not None and self._apart.get(key, 0.0) <= now:
            waiting = Waiting(flight, client, decision)
            flight.waiting[waiting] = None
            client.wait_for(waiting)
            return None
        self.events["miss"] += 1
        return Asking(self, settings, key, b"request" if entry is not None else b"uri-miss")

    def serve(self, client: GatewayConnection, decision: Forward, entry: Entry, how: bytes) -> None:
        """A kept answer, or that it has not changed."""
        age = max(0, int(self._clock.now - entry.made))
        added = b"%bage: %d\r\ncache-status: coffee; %b\r\n" % (decision.answer_head, age, how)
        known = b",".join([value for name, value in client.head.headers if name == b"if-none-match"])
        if entry.etag and entry.status == 200 and known and _matches(known, entry.etag):
            line, _, rest = entry.lines.partition(b"\r\n")
            kept = [each for each in rest.split(b"\r\n") if each and not each.startswith(b"content-")]
            client.answer_kept(304, b"\r\n".join([line.replace(b"200 OK", b"304 Not Modified"), *kept, added]), b"")
            return
        client.answer_kept(entry.status, entry.lines + added, entry.body)

    def begin(self, settings: CacheSettings, key: Key) -> Flight | None:
        """Others may wait for this one from now on."""
        if not settings.coalesce or key in self._flights:
            return None
        flight = self._flights[key] = Flight(key)
        return flight

    def end(self, flight: Flight | None, entry: Entry | None, *, shared: bool = True) -> None:
        """It has its answer. Those who wait get the same, or ask for themselves; not `shared`: one at a time."""
        if flight is None or self._flights.get(flight.key) is not flight:
            return
        del self._flights[flight.key]
        if entry is None and shared:
            if len(self._apart) >= _MOST_APART:
                self._apart.clear()
            self._apart[flight.key] = self._clock.now + _APART
        for waiting in list(flight.waiting):
            if flight.waiting.pop(waiting, flight) is flight:  # it has left in the meantime
                continue
            if entry is not None and entry.meant_for(waiting.client.head):
                self.events["collapsed"] += 1
                waiting.client.forwarding = None
                self.serve(waiting.client, waiting.decision, entry, b"fwd=uri-miss; collapsed")
            else:
                waiting.client.forward_again(waiting.decision)

    def end_badly(self, flight: Flight | None, status: int, detail: str) -> None:
        """There is no answer for anybody: asking again for each would make it worse."""
        if flight is None or self._flights.get(flight.key) is not flight:
            return
        del self._flights[flight.key]
        for waiting in list(flight.waiting):
            if flight.waiting.pop(waiting, flight) is not flight:
                waiting.client.fail(status, detail)


class Asking:
    """How a request of such a route is forwarded: its answer may be kept."""

    def __init__(self, caching: Caching, settings: CacheSettings, key: Key, why: bytes) -> None:
        self.caching = caching
        self.settings = settings
        self.key = key
        self.why = why
        """The reason for asking, as Cache-Status names it."""

    @property
    def keeps(self) -> bool:
        """Whether the request allows it."""
        return self.why not in {b"method", b"bypass"}

    def forward(
        self, client: GatewayConnection, decision: Forward, upstream: Upstream, probe: bool = False
    ) -> Forwarding:
        """To be started."""
        return CachedForwarding(client, decision, upstream, probe, _asking=self)


class CachedForwarding(Forwarding, kw_only=True):
    """Listens to an answer on its way, and keeps it if it may be kept and comes to its end."""

    _asking: Asking
    _entry: Entry | None = None
    _pieces: list[bytes] = []
    _size: int = 0
    _fresh: float = 0.0
    _age: float = 0.0
    _flight: Flight | None = None

    def start(self) -> bool:
        """Of `Forwarding`."""
        asking = self._asking
        if asking.keeps:
            self._flight = asking.caching.begin(asking.settings, asking.key)
        return super().start()

    def upstream_answers(self, head: ResponseHead, piece: bytes, *, done: bool) -> None:
        """Of `Asker`."""
        asking, caching, request = self._asking, self._asking.caching, self.client.head
        stored = self._look(head, request)
        if not asking.keeps and request.method not in _SAFE and head.status < 400:
            caching.answers.forget(asking.key.uri)
        said = b"cache-status: coffee; fwd=%b%b\r\n" % (asking.why, b"; stored" if stored else b"")
        self.decision = replace(self.decision, answer_head=self.decision.answer_head + said)
        self._listen(piece)
        super().upstream_answers(head, piece, done=done)

    def upstream_body(self, piece: bytes, *, done: bool) -> None:
        """Of `Asker`."""
        self._listen(piece)
        super().upstream_body(piece, done=done)

    def upstream_done(self) -> None:
        """Of `Asker`."""
        entry, caching = self._entry, self._asking.caching
        flight, self._flight = self._flight, None
        if entry is not None:
            entry.body = b"".join(self._pieces)
            now = self.client.front.now
            entry.made, entry.until = now - self._age, now + self._fresh
            if self._fresh > 0:
                caching.events["stored"] += 1
                caching.answers.keep(self._asking.key, entry)
        super().upstream_done()
        caching.end(flight, entry)

    def upstream_fails(self, detail: str) -> None:
        """Of `Asker`."""
        if self.client.answering:
            self._end_flight()
        super().upstream_fails(detail)

    def client_full(self) -> None:
        """Of `Forwarding`. Those who may wait for the answer must not wait for its client to read: until it proves too
        long to be shared it comes as fast as it is sent, and what that client has not read waits here, as a kept answer
        would."""
        if self._flight is None:
            super().client_full()

    def abandon(self) -> None:
        """Of `Forwarding`: somebody else of those who wait has to ask."""
        self._entry = None
        super().abandon()
        self._end_flight()

    def _look(self, head: ResponseHead, request: RequestHead) -> bool:
        """At the head: whether the answer is worth listening to, and whether it will certainly be kept."""
        asking = self._asking
        largest = asking.caching.largest
        if (
            not asking.keeps
            or (head.length or 0) > largest
            or not shareable(head, asking.settings, known=bool(self.decision.passage.uid))
        ):
            self._no_use()
            return False
        names = varies_by(head)
        etag = next((value for name, value in head.headers if name == b"etag"), b"")
        self._age = seconds_of(next((value for name, value in head.headers if name == b"age"), None)) or 0.0
        lines = status_line(head.status) + end_to_end(head, AGE)
        self._entry = Entry(head.status, lines, names, varied(names, request), etag)
        self._fresh = freshness(head, asking.settings)
        return self._fresh > 0 and head.length is not None

    def _listen(self, piece: bytes) -> None:
        if self._entry is not None and piece:
            self._pieces.append(piece)
            self._size += len(piece)
            if self._size > self._asking.caching.largest:
                self._no_use()

    def _no_use(self) -> None:
        """To anybody else: nobody waits for its end."""
        self._entry = None
        self._pieces = []
        flight, self._flight = self._flight, None
        if not self.client.writable:
            self.client_full()
        self._asking.caching.end(flight, None)

    def _end_flight(self) -> None:
        flight, self._flight = self._flight, None
        self._asking.caching.end(flight, None, shared=False)

    def _fail(self, status: int, detail: str) -> None:
        flight, self._flight = self._flight, None
        self._asking.caching.end_badly(flight, status, detail)  # first: the client's next request must not join it
        super()._fail(status, detail)


def _matches(known: bytes, etag: bytes) -> bool:
    """Weakly (RFC 9110 section 8.8.3.2)."""
    if known.strip() == b"*":
        return True
    plain = etag.removeprefix(b"W/")
    return plain in {each.strip().removeprefix(b"W/") for each in known.split(b",")}
