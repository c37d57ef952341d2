"""Bounds and time-outs of the HTTP/1.1 front. All times are in seconds, all sizes in bytes."""

from typing import Annotated

from annotated_types import Gt
from pydantic_settings import BaseSettings, SettingsConfigDict

Positive = Annotated[int, Gt(0)]
Seconds = Annotated[float, Gt(0)]


class WireSettings(BaseSettings):
    """One front's settings; per process where they count something."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_WIRE_", frozen=True, extra="ignore")

    max_connections: Positive = 20_000
    """Open connections; one more is answered 503 and closed."""

    max_request_line: Positive = 8 * 1024
    """Method, target and version; longer is 414."""

    max_head: Positive = 32 * 1024
    """Request line and all header lines together; longer is 431."""

    max_headers: Positive = 100
    """Header lines; more is 431."""

    header_lines: Positive = 1024
    """Header lines of up to 128 bytes that are remembered, so as not to be read again; none with a token or cookie."""

    known_heads: Annotated[int, Gt(-1)] = 4096
    """Blocks of header lines, of up to 2048 bytes each, that are remembered when they come a second time, so as not to
    read them again: whole; by the gateway also without the token of their caller, for others who send the rest as well;
    by modules up to the lines of one request, its trace and its id. Tokens and cookies are in them: all are forgotten
    every minute. 0: none."""

    max_body: Positive = 256 * 1024 * 1024
    """One request's body, streamed or not; longer is 413. Endpoints set smaller bounds of their own."""

    buffered_body: Positive = 64 * 1024
    """A body with a content-length up to this is read before the handler runs; a longer one is streamed to it."""

    body_window: Positive = 256 * 1024
    """Bytes of a streamed body that wait for the handler before reading from the client pauses."""

    write_window: Positive = 64 * 1024
    """Bytes of an answer that wait for the client before its producer pauses."""

    pipelined: Positive = 64 * 1024
    """Bytes of further requests that are kept while one is being answered, before reading pauses."""

    head_timeout: Seconds = 10.0
    """From a head's first byte to its last; later is 408."""

    body_timeout: Seconds = 20.0
    """Without a byte of a body that is being waited for; longer is 408."""

    body_rate: Annotated[int, Gt(-1)] = 240
    """Bytes a second that a body must reach on average once it has taken `body_timeout`; slower is 408. 0: no bound."""

    idle_timeout: Seconds = 75.0
    """An open connection between two requests, or before its first."""

    write_timeout: Seconds = 30.0
    """Without any progress of an answer that the client does not read; then the connection is cut."""

    half_close_grace: Seconds = 2.0
    """A client that has closed its sending side may still read, or may have left. It counts as gone when this long
    nothing could be written to it: the request is cancelled."""

    linger: Seconds = 2.0
    """After an answer that ends a connection early, input is read and dropped this long, so that a reset does not
    destroy the answer on its way (RFC 9112 section 9.6)."""

    discard: Positive = 64 * 1024
    """Bytes of a request body that nobody wanted which are read and dropped to keep the connection; with more to come
    it is closed."""

    sweep: Seconds = 0.5
    """How often time-outs are looked at; all of them are this coarse."""

    drain_timeout: Seconds = 25.0
    """From the signal to stop until requests still in flight are cut."""

    drain_idle: Seconds = 1.0
    """While draining, a connection is closed when it has been idle this long; a request that was on its way is still
    answered."""

    drain_first: Seconds = 5.0
    """The same for a connection that has brought no request yet: its client means to send one, and few ask again on
    another connection when a new one is closed."""

    backlog: Positive = 1024
    """Connections that wait in the kernel to be accepted."""
