"""Is this process alive, ready for traffic, and meant to have any?"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping

import orjson

from coffee_core.wire.message import Request, Response

NO_STORE = [(b"cache-control", b"no-store")]


class Heartbeat:
    """Whether the gateway is in rotation. One byte of shared memory, made before the workers are forked: an operator
    reaches one of them and means them all. Pressed back in by `?beat=true` or a restart.
    """

    def __init__(self) -> None:
        self._byte = mmap.mmap(-1, 1)
        self.beating = True

    @property
    def beating(self) -> bool:
        """In rotation."""
        return self._byte[0] == 1

    @beating.setter
    def beating(self, value: bool) -> None:
        self._byte[0] = int(value)

    async def get(self, _request: Request) -> Response:
        """200, or 410 when taken out of rotation."""
        beating = self.beating
        return Response(200 if beating else 410, orjson.dumps({"beat": beating}), headers=[*NO_STORE])


class Health:
    """Probes. `ready` fails while starting, draining or out of rotation; a push link in doubt or an authority that does
    not answer is reported and does not fail it, because the gateway goes on with what it knows.
    """

    def __init__(self, heartbeat: Heartbeat, conditions: Callable[[], Mapping[str, bool]]) -> None:
        self.started = False
        self.draining = False
        self._heartbeat = heartbeat
        self._conditions = conditions

    async def live(self, _request: Request) -> Response:
        """The loop turns."""
        return Response(200, b'{"status":"UP"}', headers=[*NO_STORE])

    async def ready(self, _request: Request) -> Response:
        """Send traffic here."""
        up = self.started and not self.draining and self._heartbeat.beating
        return self._answer(up)

    async def startup(self, _request: Request) -> Response:
        """The start is over."""
        return self._answer(self.started)

    def _answer(self, up: bool) -> Response:
        body = {"status": "UP" if up else "DOWN", "beat": self._heartbeat.beating, **self._conditions()}
        headers = [*NO_STORE] if up else [*NO_STORE, (b"retry-after", b"1")]
        return Response(200 if up else 503, orjson.dumps(body), headers=headers)
