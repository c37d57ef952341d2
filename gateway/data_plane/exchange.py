"""A request of the gateway's own to an upstream: its answer's status counts, its body is read and dropped."""

from __future__ import annotations

from collections.abc import Callable

from coffee_core.wire.head import ResponseHead
from gateway.data_plane.upstream_side import UpstreamConnection


class Exchange:
    """`Asker` that calls `ended` once: with the status, or with 0 if there was no whole answer."""

    head_request = False
    upgrading = b""
    request_complete = True

    def __init__(self, ended: Callable[[int], None]) -> None:
        self._ended = ended
        self._status = 0
        self.connection: UpstreamConnection | None = None

    def ask(self, connection: UpstreamConnection, data: bytes) -> None:
        """Send it, whole."""
        self.connection = connection
        connection.ask(self, data)

    def leave(self) -> None:
        """Its answer is not waited for any more."""
        connection = self.connection
        if connection is not None:
            connection.leave()
            self._end(0)

    def upstream_continues(self) -> None:
        """Of `Asker`."""

    def upstream_informs(self, head: ResponseHead) -> None:
        """Of `Asker`."""

    def upstream_answers(self, head: ResponseHead, piece: bytes, *, done: bool) -> None:  # noqa: ARG002 - of `Asker`
        """Of `Asker`."""
        self._status = head.status

    def upstream_body(self, piece: bytes, *, done: bool) -> None:
        """Of `Asker`."""

    def upstream_done(self) -> None:
        """Of `Asker`."""
        self._end(self._status)

    def upstream_switches(self, head: ResponseHead, early: bytes) -> None:
        """Of `Asker`; never, as none is asked for."""

    def upstream_lost(self) -> None:
        """Of `Asker`."""
        self._end(0)

    def upstream_fails(self, detail: str) -> None:  # noqa: ARG002 - of `Asker`
        """Of `Asker`."""
        self._end(0)

    def tunnel_data(self, data: bytes) -> None:
        """Of `Asker`; never."""

    def tunnel_over(self) -> None:
        """Of `Asker`; never."""

    def upstream_full(self) -> None:
        """Of `Asker`."""

    def upstream_free(self) -> None:
        """Of `Asker`."""

    def _end(self, status: int) -> None:
        self.connection = None
        self._ended(status)
