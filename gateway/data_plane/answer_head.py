"""The head of a forwarded answer: what the upstream said end to end."""

from __future__ import annotations

from typing import Final

from coffee_core.wire.head import ResponseHead

# Hop-by-hop (RFC 9110 section 7.6.1), framing, which is made anew for each hop, and what the gateway alone says: a
# module that echoes its request's headers must not reveal the statement of identity, nor open itself to other origins.
DROPPED: Final = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate te trailer transfer-encoding upgrade content-length "
    b"x-bb-requestid x-bb-identity x-bb-partner-id x-bb-account-id x-bb-uid x-bb-plan-type "
    b"access-control-allow-origin access-control-allow-credentials access-control-allow-methods "
    b"access-control-allow-headers access-control-expose-headers access-control-max-age".split()
)


def end_to_end(head: ResponseHead, but: frozenset[bytes] = frozenset()) -> bytes:
    """Header lines, without framing, without what the answer itself names as meant for one hop, and without `but`."""
    left_out = head.connection | but
    return b"".join([line[2] for line in head.lines if line[0] not in left_out]) if left_out else head.passing


def stated_length(head: ResponseHead) -> bytes:
    """The content-length line of an answer to HEAD, or of a 304: the length of the body that is not here."""
    length = head.special.get(b"content-length") if head.status != 204 else None
    return b"content-length: %b\r\n" % length if length is not None else b""
