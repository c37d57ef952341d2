"""The time-outs of a client's connection, looked at by the sweep: no timer is set and cancelled for a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coffee_core.wire.errors import WireError
from coffee_core.wire.phases import BODY, BUSY, CLOSING, HEAD, IDLE

if TYPE_CHECKING:
    from coffee_core.wire.connection import Connection


def look(connection: Connection, now: float) -> None:
    """End what has taken too long."""
    settings = connection.settings
    unsent = connection.transport.get_write_buffer_size()
    if unsent == 0 or unsent < connection.unsent:
        connection.stalled_since = now
    connection.unsent = unsent
    if now - connection.stalled_since > settings.write_timeout:
        connection.kill()
        return
    phase = connection.phase
    age = now - connection.since
    if phase == IDLE:
        if age > (_patience(connection) if connection.front.draining else settings.idle_timeout):
            connection.close()
    elif phase == HEAD:
        if age > settings.head_timeout:
            connection.refuse(WireError(408, "the request's head took too long"))
    elif phase == BODY:
        waiting = connection.reading and not connection.head.expects_continue
        if waiting and (age > settings.body_timeout or _drips(connection, now)):
            connection.refuse(WireError(408, "the request's body took too long"))
    elif phase == BUSY:
        if connection.eof and age > settings.half_close_grace and not unsent:
            connection.transport.abort()
    elif phase == CLOSING and age > settings.linger and not unsent:
        connection.transport.abort()


def _patience(connection: Connection) -> float:
    """While draining. A client that has connected and not asked yet does not know that it may have to ask again."""
    settings = connection.settings
    return settings.drain_idle if hasattr(connection, "head") else settings.drain_first  # its first request sets it


def _drips(connection: Connection, now: float) -> bool:
    """A body that keeps coming, but too slowly to ever be done."""
    taken = now - connection.started
    settings = connection.settings
    return taken > settings.body_timeout and connection.seen < settings.body_rate * taken
