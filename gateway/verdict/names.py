"""Which request headers pass, which are dropped, and which mean something to the gateway."""

from __future__ import annotations

import re
from typing import Final

PASS: Final = 0
DROP: Final = 1
AUTHORIZATION: Final = 2
COOKIE: Final = 3
REQUEST_ID: Final = 4
PASS_THROUGH: Final = 5
"""Passed once, if it is well formed."""
FORWARDING: Final = 6
"""Believed from a trusted proxy only: see `forwarding`."""
CONNECTION: Final = 7
NOTED: Final = 8
"""Passed on, and looked at by the gateway (origin, sec-fetch-site, preflight)."""
HOST: Final = 9
NOTED_DROP: Final = 10
"""Looked at, not passed on."""

_SPECIAL: Final[dict[bytes, int]] = {
    b"authorization": AUTHORIZATION,
    b"cookie": COOKIE,
    b"host": HOST,
    b"x-bb-requestid": REQUEST_ID,
    b"connection": CONNECTION,
    b"upgrade": NOTED_DROP,
    b"x-csrf-token": NOTED_DROP,
    b"x-bb-cache-status": NOTED_DROP,
    **dict.fromkeys((b"origin", b"sec-fetch-site", b"access-control-request-method"), NOTED),
    **dict.fromkeys(
        (b"x-bb-deviceid", b"x-bb-clientid", b"x-bb-clienttype", b"x-bb-version", b"accept-language"), PASS_THROUGH
    ),
    **dict.fromkeys(
        (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded", b"traceparent", b"tracestate"),
        FORWARDING,
    ),
}

DROPPED: Final = frozenset(
    # RFC 9110 section 7.6.1, and the framing that is the data plane's
    b"keep-alive proxy-connection proxy-authenticate proxy-authorization proxy-authentication-info te trailer "
    b"transfer-encoding content-length expect http2-settings "
    # other names by which some upstream might take the address, the path or the method to be another
    b"x-real-ip x-client-ip x-cluster-client-ip client-ip true-client-ip cf-connecting-ip fastly-client-ip via "
    b"x-forwarded x-forwarded-port x-forwarded-prefix x-forwarded-server x-forwarded-ssl x-forwarded-scheme "
    b"x-forwarded-path x-forwarded-uri x-forwarded-method x-forwarded-by x-forwarded-user x-forwarded-email "
    b"x-original-url x-original-uri x-original-method x-original-host x-rewrite-url x-host x-envoy-original-path "
    b"x-http-method x-http-method-override x-method-override x-url-scheme front-end-https baggage".split()
)

_SEPARATORS: Final = re.compile(rb"[^a-z0-9]+")
_RESERVED: Final = frozenset(_SEPARATORS.sub(b"", name) for name in (*_SPECIAL, *DROPPED)) - {
    b"cookie",
    b"origin",
    b"host",
    b"upgrade",
    b"via",
    b"te",
}
MEMO: Final = 2048
"""Names that are remembered; more, or longer ones, are looked at each time."""


class Names:
    """The meaning of each header name, remembered."""

    def __init__(self) -> None:
        self.known: dict[bytes, int] = {**_SPECIAL, **dict.fromkeys(DROPPED, DROP)}

    def classify(self, name: bytes) -> int:
        """For a name that is not in `known`. The whole of `x-bb-` is the gateway's, in any spelling that some upstream
        might read as it (`x_bb_uid`, `X-BB-UID`, `x.bb.uid`); so is every other name that is special here. Names with
        an underscore are dropped altogether: CGI-like servers read it as a hyphen.
        """
        plain = _SEPARATORS.sub(b"", name.lower())
        kind = PASS
        if b"_" in name or plain.startswith(b"xbb") or plain in _RESERVED:
            kind = DROP
        if len(name) <= 64 and len(self.known) < MEMO:
            self.known[name] = kind
        return kind
