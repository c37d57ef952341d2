"""A part of an upstream's requests goes to another version of it: by a header, or a share of the users."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from coffee_core.wire.head import RequestHead
from gateway.data_plane.settings import CanarySettings, named_header
from gateway.verdict.decision import Forward

if TYPE_CHECKING:
    from gateway.data_plane.upstreams import Upstream


class Canary:
    """Chooses between an upstream and its canary."""

    def __init__(self, canary: Upstream, settings: CanarySettings) -> None:
        self._canary = canary
        self._header = named_header(settings.header)
        self._below = round(settings.percent * 100)

    def choose(self, stable: Upstream, decision: Forward, head: RequestHead) -> Upstream:
        """The same for all requests of a user; who is not known is drawn for each request. A canary whose breaker is
        not closed hands its share back."""
        canary = self._canary
        if not canary.breaker.closed and not canary.breaker.due:
            return stable
        if self._header is not None and self._header in head.headers:
            return canary
        drawn = crc32(b"canary" + (decision.passage.uid or decision.request_id)) % 10_000
        return canary if drawn < self._below else stable
