"""What the wire refuses, and how it says so: one error that carries its status, and the problem body for it."""

from __future__ import annotations

import json
from http import HTTPStatus

PROBLEM = b"application/problem+json"


class WireError(Exception):
    """A message that is not answered but refused: `status` is the answer's, `detail` says what was wrong.

    It is about bytes, not about the business, so it is no `CoffeeError`. `detail` never repeats what the peer sent.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail

    @property
    def title(self) -> str:
        """The status code's own words."""
        return HTTPStatus(self.status).phrase


def problem(status: int, detail: str, *, title: str = "") -> bytes:
    """A problem body (RFC 9457) of a server that has no application to ask."""
    body = {"type": "about:blank", "title": title or HTTPStatus(status).phrase, "status": status, "detail": detail}
    return json.dumps(body, separators=(",", ":")).encode()
