"""How a refusal looks on the wire: a problem (RFC 9457) with the members of the platform."""

from __future__ import annotations

import orjson

from gateway.verdict.decision import Refused

PROBLEM = b"application/problem+json"

TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    429: "Too Many Requests",
    503: "Service Unavailable",
}


def problem_body(refused: Refused, instance: bytes = b"") -> bytes:
    """The body; `instance` is the path that was asked for, without its query. Never repeats a token or an address."""
    return orjson.dumps(
        {
            "type": "about:blank",
            "title": refused.title,
            "status": refused.status,
            "detail": refused.detail,
            "instance": instance.decode("ascii", "replace"),
            "requestId": refused.request_id.decode("ascii"),
            "errors": [],
            "statusMessage": refused.detail,
        }
    )
