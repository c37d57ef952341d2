"""Every way in which the verdict says no, in one place."""

from __future__ import annotations

from math import ceil

from gateway.verdict.cors import Cors
from gateway.verdict.decision import Refused
from gateway.verdict.problem import TITLES

CHALLENGE = (b"www-authenticate", b'Bearer realm="coffee"')
INVALID = (b"www-authenticate", b'Bearer realm="coffee", error="invalid_token"')


class Refusals:
    """Makes refusals that a browser may read: CORS headers are on them as well."""

    def __init__(self, cors: Cors) -> None:
        self._cors = cors

    def refuse(
        self, status: int, detail: str, request_id: bytes, route: str, origin: bytes, *more: tuple[bytes, bytes]
    ) -> Refused:
        """The refusal, with the request id and what else belongs to it."""
        cors = self._cors.pairs(origin) if origin else []
        return Refused(status, TITLES[status], detail, [*more, *cors], request_id, route)


def retry_after(seconds: float) -> tuple[bytes, bytes]:
    """Whole seconds, at least one (RFC 9110 section 10.2.3)."""
    return (b"retry-after", b"%d" % max(1, ceil(seconds)))
