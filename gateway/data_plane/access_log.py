"""The access log: one JSON line a request, gathered and written by a thread, so that a slow disk stops nobody.

`time` is when the answer ended, `ms` the time from the request's head to then, `upstreamMs` from sending it on to the
upstream's head. `end` is `complete`, `cut` (the answer was broken off) or `left` (the client did not wait). Queries
and headers are not logged: they may carry secrets.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from functools import lru_cache
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from gateway.data_plane.forwarding import clock
from gateway.data_plane.settings import AccessLogSettings
from gateway.verdict.decision import Forward, Passage

if TYPE_CHECKING:
    from gateway.data_plane.client_side import GatewayConnection

log: Final = logging.getLogger("gateway.data_plane")

_BATCH: Final = 128
_REQUEST: Final = b'{"time":"%b","requestId":"%b","method":"%b","path":"%b",'
_ENDED: Final = b'"status":%b,"end":"%b","bytes":%d,"ms":%b,'
_FORWARDED: Final = _REQUEST + b"%b" + _ENDED + b'"upstreamMs":%b,%b%b"%b}\n'
_OWN: Final = (
    _REQUEST + b'"route":"%b",' + _ENDED + b'"upstreamMs":null,"partner":null,"uid":null,"plan":null,"peer":"%b"%b}\n'
)

_NUMBERS: Final = [b"%d" % number for number in range(600)]
"""Statuses: numbers are formatted at three times the price of bytes."""
_SHORT: Final = 20_000
"""Microseconds: so many texts are remembered at most."""


class AccessLog:
    """Keeps lines for a moment, then hands them to its thread. What does not fit in `pending` is dropped, counted
    and reported."""

    def __init__(self, settings: AccessLogSettings) -> None:
        self._settings = settings
        self.dropped = 0
        self._enabled = settings.enabled
        self._every = round(1 / settings.sample) if settings.sample else 0
        self._turn = 0
        self._all = settings.enabled and self._every == 1
        """Every line is kept: nothing has to be asked."""
        self._known_ms: dict[int, bytes] = {}
        self._kept_of = b"" if self._every == 1 else b',"sample":%.6g' % settings.sample
        self._lines: list[bytes] = []
        self._queue: SimpleQueue[bytes] = SimpleQueue()
        self._queued = 0
        self._written = 0  # of the thread alone
        self._epoch = time.time() - clock()
        """What the clock of requests lacks to the time of day; looked at whenever lines are handed over."""
        self._millisecond = 0
        self._second = 0
        self._to_the_second = b""
        self._stamp = b""
        self._thread: threading.Thread | None = None

    def forwarded(self, client: GatewayConnection, decision: Forward, status: int, ending: bytes) -> float:
        """One forwarded request that has ended; how long it took, in seconds."""
        now = clock()
        seconds = now - client.began
        share = b"" if self._all else self._share(status, ending, seconds)
        if share is None:
            return seconds
        millisecond = int((now + self._epoch) * 1000)
        passage = decision.passage
        said = passage.logged or _said(passage)
        forwarding = client.forwarding
        waited = 0
        if forwarding is not None and forwarding.answered_at:
            waited = int((forwarding.answered_at - forwarding.sent_at) * 1_000_000)
        us = int(seconds * 1_000_000)
        known_ms = self._known_ms
        lines = self._lines
        lines.append(
            # partition, not escape: a canonical target has nothing in it that would need one
            _FORWARDED
            % (
                self._stamp if millisecond == self._millisecond else self._stamped(millisecond),
                decision.request_id,
                client.head.method,
                decision.target.partition(b"?")[0],
                said[0],
                _NUMBERS[status],
                ending,
                client.sent,
                known_ms.get(us) or self._ms(us),
                known_ms.get(waited) or self._ms(waited),
                said[1],
                client.peer.encode(),
                share,
            )
        )
        if len(lines) >= _BATCH:
            self.flush()
        return seconds

    def own(self, client: GatewayConnection, status: int, ending: bytes) -> float:
        """One that the gateway has answered itself, or could not."""
        now = clock()
        seconds = now - client.began
        share = b"" if self._all else self._share(status, ending, seconds)
        if share is None:
            return seconds
        decision = client.decision
        millisecond = int((now + self._epoch) * 1000)
        us = int(seconds * 1_000_000)
        line = _OWN % (
            self._stamp if millisecond == self._millisecond else self._stamped(millisecond),
            b"" if decision is None else decision.request_id,
            client.head.method,
            _escaped(client.head.target.partition(b"?")[0]),
            b"undecided" if decision is None else decision.route.encode(),
            _NUMBERS[status],
            ending,
            client.sent,
            self._known_ms.get(us) or self._ms(us),
            client.peer.encode(),
            share,
        )
        self.write(line)
        return seconds

    def _share(self, status: int, ending: bytes, seconds: float) -> bytes | None:
        """What a line says of how many there are like it; `None`: this one is not among those that are kept."""
        if not self._enabled:
            return None
        if status >= 400 or ending != b"complete" or seconds > self._settings.slow:
            return b""
        self._turn += 1
        if self._turn != self._every:
            return None
        self._turn = 0
        return self._kept_of

    def _ms(self, us: int) -> bytes:
        """Microseconds as milliseconds; those of short times are remembered."""
        text = b"%d.%03d" % divmod(us, 1000)
        if us < _SHORT:
            self._known_ms[us] = text
        return text

    def unread(self, client: GatewayConnection, status: int) -> None:
        """Bytes that were no request."""
        if self._enabled:
            line = b'{"time":"%b","route":"unread","status":%d,"peer":"%b"}\n'
            self.write(line % (self._stamped(int(time.time() * 1000)), status, client.peer.encode()))

    def flush(self) -> None:
        """Hand over what has gathered."""
        self._epoch = time.time() - clock()
        if not self._lines:
            return
        block = b"".join(self._lines)
        self._lines.clear()
        if self._queued - self._written + len(block) > self._settings.pending:
            self.dropped += block.count(b"\n")
            return
        self._queued += len(block)
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="access-log", daemon=True)
            self._thread.start()
        self._queue.put(block)

    async def close(self) -> None:
        """Write what is left; a reader that does not read is not waited for."""
        self.flush()
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(b"")
            await asyncio.to_thread(thread.join, 5.0)

    def write(self, line: bytes) -> None:
        """One line."""
        self._lines.append(line)
        if len(self._lines) >= _BATCH:
            self.flush()

    def _stamped(self, millisecond: int) -> bytes:
        """RFC 3339 with milliseconds; made once a millisecond, and the calendar's part once a second."""
        self._millisecond = millisecond
        second, rest = divmod(millisecond, 1000)
        if second != self._second:
            self._second = second
            self._to_the_second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        self._stamp = b"%b.%03dZ" % (self._to_the_second, rest)
        return self._stamp

    def _write(self) -> None:
        """The thread."""
        path = self._settings.path
        number = 1 if path is None else os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            while block := self._queue.get():
                size = len(block)
                try:
                    while block:
                        block = block[os.write(number, block) :]
                except OSError as error:
                    self.dropped += block.count(b"\n")
                    log.error("access log lines are lost: %s", error)  # noqa: TRY400 - the sentence says it all
                self._written += size
        finally:
            if path is not None:
                os.close(number)


def _said(passage: Passage) -> tuple[bytes, bytes]:
    """What all lines of a passage have in common: the route, and who it was."""
    who = b'"partner":"%b","uid":"%b","plan":"%b","peer":"' % (passage.partner, passage.uid, passage.plan)
    passage.logged = said = (b'"route":"%b",' % passage.route.encode(), who)
    return said


@lru_cache(maxsize=64)
def _escaped(path: bytes) -> bytes:
    """Own routes are few: forward auth is one of them, and asks for each request."""
    return json.dumps(path.decode("latin-1"))[1:-1].encode()
