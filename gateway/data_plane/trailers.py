"""Trailers that pass (RFC 9110 section 6.5): after the body nobody checks any more, so what could have been refused or
replaced in a head does not pass in a trailer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from coffee_core.wire.head import RequestHead
from gateway.verdict.names import PASS, Names

# RFC 9110 section 6.5.1: framing, routing, modifiers of requests, authentication, how content is to be handled; and
# what the gateway alone says.
_FORBIDDEN: Final = frozenset(
    b"connection keep-alive te trailer transfer-encoding upgrade host max-forwards expect range pragma cache-control "
    b"age date expires last-modified location retry-after vary warning authorization www-authenticate set-cookie "
    b"cookie accept-ranges allow alt-svc clear-site-data origin refresh strict-transport-security".split()
)
_FORBIDDEN_PREFIXES: Final = (b"content-", b"if-", b"proxy-", b"accept-", b"access-control-", b"sec-", b"cross-origin-")


class Trailers:
    """Chooses; remembers what it learned about names."""

    def __init__(self) -> None:
        self._names = Names()

    def passing(self, lines: Sequence[bytes]) -> bytes:
        """Of lines as they came, without their ends: those that may go on, with them."""
        return b"".join([line + b"\r\n" for line in lines if self._passes(line.partition(b":")[0].lower())])

    def _passes(self, name: bytes) -> bool:
        if name in _FORBIDDEN or name.startswith(_FORBIDDEN_PREFIXES):
            return False
        kind = self._names.known.get(name)
        return (self._names.classify(name) if kind is None else kind) == PASS


def wanted(head: RequestHead) -> bool:
    """Whether the client says that it reads trailers: `TE: trailers`, named by Connection (RFC 9110 section 10.1.4)."""
    if b"te" not in head.connection or head.http10:
        return False
    codings = b",".join([value for name, value in head.headers if name == b"te"]).lower()
    return b"trailers" in {coding.partition(b";")[0].strip() for coding in codings.split(b",")}
