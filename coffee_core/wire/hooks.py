"""What a kind of connection does with what it reads: the methods that a subclass of `Connection` fills in."""

from __future__ import annotations

import asyncio

from coffee_core.wire.head import RequestHead


class Hooks(asyncio.Protocol):
    """Called in the order of the request: see `Connection`."""

    __slots__ = ()

    def request_received(self, head: RequestHead) -> None:
        """A head is complete. Its body, if `phase` is BODY, follows."""
        raise NotImplementedError

    def whole_received(self, body: bytes) -> bool:  # noqa: ARG002 - for who overrides it
        """The head in `head` came with its whole body and nothing behind it: this is called first, with `phase` BUSY.
        False: it is handed over as any other, by the three methods around this one."""
        return False

    def body_received(self, data: bytes) -> None:
        """A piece of the body, never empty."""

    def body_complete(self) -> None:
        """The body's last byte has been handed over. Not called for a request without a body."""

    def flush(self) -> None:
        """All that one read brought has been handed over, and `gathered` is set."""

    def abandon(self) -> None:
        """Stop working on the request in hand: its client has gone, broke the protocol or took too long."""

    def writing_paused(self) -> None:
        """The client reads slower than its answer is produced."""

    def writing_resumed(self) -> None:
        """It has caught up."""

    def tunnel_received(self, data: bytes) -> None:
        """Bytes of the protocol that the connection was upgraded to."""

    def tunnel_ended(self) -> None:
        """The client sends no more of them."""
