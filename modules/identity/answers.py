"""Envelopes of what is not read from a table, and the session cookie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from coffee_core.domain.ids import EntryT
from coffee_core.rest.body import read_json
from coffee_core.rest.encoding import EntriesEncoder
from coffee_core.rest.page import Envelope, Page
from coffee_core.rest.validation import refuse
from coffee_core.wire.message import Request, Response
from modules.identity.settings import IdentitySettings

BodyT = TypeVar("BodyT", bound=BaseModel)

BODY_BYTES_MAX = 16_384
"""Of any body that this service reads by itself: credentials, names."""
NO_STORE = (b"cache-control", b"no-store")


async def read_body(request: Request, kind: type[BodyT], *, empty: bytes | None = None) -> BodyT:
    """The body as `kind`; `empty` stands for one that is not there. A mistake names its place and repeats nothing."""
    raw = empty if empty is not None and not await request.body.read(BODY_BYTES_MAX) else None
    try:
        return kind.model_validate_json(
            raw or await read_json(request, BODY_BYTES_MAX), strict=True, by_alias=True, by_name=False
        )
    except ValidationError as error:
        refuse(error)


class Answers(Generic[EntryT]):
    """Writes envelopes of one Entry type that no cache may keep."""

    def __init__(self, entry: type[EntryT]) -> None:
        self._encoder = EntriesEncoder(entry)

    def __call__(self, *entries: EntryT) -> Response:
        """200 with these."""
        return Response(200, self._encode(entries), headers=[NO_STORE])

    def _encode(self, entries: Sequence[EntryT]) -> bytes:
        count = len(entries)
        return Envelope(Page(count, lambda: entries, lambda: self._encoder.encode(entries)), total=count).encode()


class SessionCookie:
    """A browser's access token, out of reach of its scripts. Forgery from other sites is the gateway's to refuse."""

    def __init__(self, settings: IdentitySettings) -> None:
        self._name = settings.session_cookie
        secure = "; Secure" if settings.cookie_secure else ""
        self._rules = f"; Path=/; HttpOnly{secure}; SameSite={settings.cookie_same_site}"

    def set(self, token: str, seconds: int) -> tuple[bytes, bytes]:
        """The header that stores it, for as long as the token is good."""
        return b"set-cookie", f"{self._name}={token}; Max-Age={seconds}{self._rules}".encode()

    def clear(self) -> tuple[bytes, bytes]:
        """The header that takes it away."""
        return b"set-cookie", f"{self._name}=; Max-Age=0{self._rules}".encode()

    def read(self, request: Request) -> str | None:
        """The token in the request's Cookie header."""
        return cookie_of(request, self._name)


def cookie_of(request: Request, name: str) -> str | None:
    """A cookie's value, unless two of its name differ: which one is meant nobody can say."""
    found: set[str] = set()
    for pair in request.headers.get(b"cookie", b"").decode("latin-1").split(";"):
        given, equals, value = pair.strip().partition("=")
        if equals and given == name:
            found.add(value.strip('"'))
    return found.pop() if len(found) == 1 else None
