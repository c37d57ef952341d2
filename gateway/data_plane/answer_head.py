"""The head of a forwarded answer: what the upstream said end to end, and what the gateway adds."""

from __future__ import annotations

from typing import Final

from coffee_core.wire.answer import status_line
from coffee_core.wire.head import ResponseHead

# Hop-by-hop (RFC 9110 section 7.6.1), framing, which is made anew for each hop, and what the gateway alone says: a
# module that echoes its request's headers must not reveal the statement of identity, nor open itself to other origins.
_DROPPED: Final = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate te trailer transfer-encoding upgrade content-length "
    b"x-bb-requestid x-bb-identity x-bb-partner-id x-bb-account-id x-bb-uid x-bb-plan-type "
    b"access-control-allow-origin access-control-allow-credentials access-control-allow-methods "
    b"access-control-allow-headers access-control-expose-headers access-control-max-age".split()
)


def end_to_end(head: ResponseHead, added: bytes) -> bytes:
    """Status line and header lines, without framing and without the empty line."""
    named = head.connection
    lines = [b"%b: %b\r\n" % header for header in head.headers if header[0] not in _DROPPED]
    if named:
        lines = [line for line in lines if line.partition(b":")[0] not in named]
    return b"%b%b%b" % (status_line(head.status), b"".join(lines), added)


def stated_length(head: ResponseHead) -> bytes:
    """The content-length line of an answer to HEAD, or of a 304: the length of the body that is not here."""
    length = head.special.get(b"content-length") if head.status != 204 else None
    return b"content-length: %b\r\n" % length if length is not None else b""
