"""Copies of small requests for another version of an upstream; their answers are dropped, and nobody waits for them."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from coffee_core.wire.errors import WireError
from coffee_core.wire.head import RequestHead
from gateway.data_plane.exchange import Exchange
from gateway.data_plane.settings import MirrorSettings, named_header

if TYPE_CHECKING:
    from gateway.data_plane.upstreams import Upstream


class Mirror:
    """Sends copies, at most so many at a time; what does not fit is not copied."""

    def __init__(self, group: Upstream, settings: MirrorSettings) -> None:
        self._group = group
        self._settings = settings
        self._header = named_header(settings.header)
        self._copies: set[asyncio.Task[None]] = set()
        self.sent = 0
        """Copies that were answered."""
        self.failed = 0
        """Copies that were not."""
        self.dropped = 0
        """Copies that were not made, for want of room."""

    @property
    def in_flight(self) -> int:
        """Copies that are not answered yet."""
        return len(self._copies)

    def offer(self, head: RequestHead, data: bytes) -> None:
        """A whole request: its head as the client sent it, and all of it as it goes to the upstream. It is the copy
        that waits, in a task of its own."""
        settings = self._settings
        if len(data) > settings.size or head.method.decode("latin-1") not in settings.methods:
            return
        asked_for = self._header is not None and self._header in head.headers
        if not asked_for and random.uniform(0, 100) >= settings.percent:  # noqa: S311 - a sample
            return
        if len(self._copies) >= settings.in_flight:
            self.dropped += 1
            return
        line, _, rest = data.split(b"\r\n", 2)  # the second line is Host
        copy = b"%b\r\nhost: %b\r\nx-mirrored: 1\r\n%b" % (line, self._group.authority, rest)
        task = asyncio.get_running_loop().create_task(self._send(copy))
        self._copies.add(task)
        task.add_done_callback(self._copies.discard)

    async def stop(self) -> None:
        """Leave the copies that are under way."""
        copies = list(self._copies)
        for copy in copies:
            copy.cancel()
        await asyncio.gather(*copies, return_exceptions=True)

    async def _send(self, data: bytes) -> None:
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def ended(status: int) -> None:
            if not answered.done():
                answered.set_result(status)

        exchange = Exchange(ended)
        try:
            async with asyncio.timeout(self._settings.timeout):
                exchange.ask(await self._group.acquire(), data)
                status = await answered
        except (WireError, TimeoutError):
            status = 0
        finally:
            exchange.leave()
        if status:
            self.sent += 1
        else:
            self.failed += 1
