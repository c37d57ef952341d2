"""Step 0: a request's headers are read once; what a caller says about his own identity is gone before any decision."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import uuid_utils
from msgspec import Struct

from gateway.verdict.decision import HeaderList, RequestHead
from gateway.verdict.names import (
    AUTHORIZATION,
    CONNECTION,
    COOKIE,
    DROP,
    FORWARDING,
    HOST,
    NOTED,
    PASS_THROUGH,
    REQUEST_ID,
    Names,
)

if TYPE_CHECKING:
    from gateway.verdict.repeats import Passed
    from gateway.verdict.routes import Route

_UUID7 = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE).fullmatch
_FORMS: Final = {
    b"accept-language": re.compile(rb"[A-Za-z0-9*,;=.\- ]{1,256}").fullmatch,
    **dict.fromkeys(
        (b"x-bb-deviceid", b"x-bb-clientid", b"x-bb-clienttype", b"x-bb-version"),
        re.compile(rb"[A-Za-z0-9._:\-]{1,128}").fullmatch,
    ),
}
"""What a pass-through header may look like; anything else is dropped, as is a second one of its name."""

_PLAIN_CONNECTION: Final = frozenset(
    (b"keep-alive", b"close", b"upgrade", b"keep-alive, upgrade", b"upgrade, keep-alive")
)

COLON: Final = b": "
CRLF: Final = b"\r\n"
NOTHING: Final[dict[bytes, bytes]] = {}


class ReadHead(Struct, eq=False, gc=False):
    """One request's headers, sorted. Requests with the same headers may share it: nobody changes it."""

    passing: bytes
    """The lines that pass, each with its end."""
    authorization: bytes
    authorizations: int
    bearer: bytes
    """The token; empty if there is none, or more than one Authorization: which one counts nobody can say."""
    cookies: list[bytes]
    host: bytes
    request_id: bytes
    """That the caller has given, if it is one."""
    forwarding: dict[bytes, bytes]
    """What a proxy may have said: lists are joined, of the rest the last counts."""
    noted: dict[bytes, bytes]
    """Headers that CORS, CSRF and upgrades look at; empty for most programs."""
    frame: ReadHead | None = None
    """That of other requests, where only the token is another."""
    said: bytes = b""
    start: bytes = b""
    peer: str = ""
    traced: bool = False
    """What the last request with these headers was forwarded with, see `Forwarder`: what was said about its caller,
    the beginning of its head, and its peer; `traced` if the trace is in that beginning."""
    lines: bytes = b""
    lines_peer: str = ""
    """Of a frame: the lines that say where a request came from, and the peer they name."""
    route: Route | None = None
    """That the last request with these headers was let pass by."""
    passed: Passed | None = None
    """What let two of them pass one after the other, see `Repeats`."""


class HeaderReader:
    """Reads heads; remembers what it learned about names."""

    def __init__(self) -> None:
        self._names = Names()

    def read(self, asked: RequestHead) -> ReadHead:
        """A request's headers, sorted by what they mean, and kept beside those that are known: look there before."""
        known = asked.known
        if known is None:
            return self._sort(asked.headers)
        frame = known.frame
        if frame is None:
            read = self._sort(asked.headers)
        else:
            of = frame.note
            if not isinstance(of, ReadHead):
                of = frame.note = self._sort(frame.headers)
            read = ReadHead(
                of.passing, known.headers[frame.place][1], 1, known.token, of.cookies, of.host, of.request_id,
                of.forwarding, of.noted, of,
            )  # fmt: skip
        known.note = read
        return read

    def _sort(self, headers: HeaderList) -> ReadHead:
        head = ReadHead(b"", b"", 0, b"", [], b"", b"", NOTHING, NOTHING)
        parts: list[bytes] = []
        known = self._names.known
        connection = b""
        for name, value in headers:  # lines go to `parts` in fours: name, colon, value, end
            kind = known.get(name)
            if kind is None:
                kind = self._names.classify(name)
            if not kind:  # PASS, by far the most frequent
                parts += (name, COLON, value, CRLF)
            elif kind == DROP:
                continue
            elif kind == AUTHORIZATION:
                head.authorization = value
                head.authorizations += 1
            elif kind == HOST:
                head.host = value
            elif kind == CONNECTION:
                connection = connection + b"," + value if connection else value
            else:
                _rare(head, parts, kind, name, value)
        if connection and connection.lower() not in _PLAIN_CONNECTION:
            parts = _without_named(parts, connection)
        if head.authorizations == 1:
            head.bearer = _bearer(head.authorization)
        head.passing = b"".join(parts)
        return head


def _rare(head: ReadHead, parts: list[bytes], kind: int, name: bytes, value: bytes) -> None:
    """The kinds that few requests carry."""
    if kind == PASS_THROUGH:
        if _FORMS[name](value) is not None and name not in parts[::4]:
            parts += (name, COLON, value, CRLF)
    elif kind == COOKIE:
        head.cookies.append(value)
    elif kind == REQUEST_ID:
        if not head.request_id and _UUID7(value) is not None:
            head.request_id = value.lower()
    elif kind == FORWARDING:
        if head.forwarding is NOTHING:
            head.forwarding = {}
        before = head.forwarding.get(name)
        joined = before is not None and name in (b"x-forwarded-for", b"forwarded", b"tracestate")
        head.forwarding[name] = before + b", " + value if joined and before is not None else value
    else:
        if head.noted is NOTHING:
            head.noted = {}
        head.noted[name] = value
        if kind == NOTED:
            parts += (name, COLON, value, CRLF)


def _without_named(parts: list[bytes], connection: bytes) -> list[bytes]:
    """`Connection: x-hop` makes `x-hop` hop-by-hop as well (RFC 9110 section 7.6.1)."""
    named = {token.strip() for token in connection.lower().split(b",")}
    return [part for start in range(0, len(parts), 4) if parts[start] not in named for part in parts[start : start + 4]]


def _bearer(value: bytes) -> bytes:
    return value[7:].strip() if value[:7] == b"Bearer " or value[:7].lower() == b"bearer " else b""


def new_request_id() -> bytes:
    """A UUIDv7 (RFC 9562 section 5.7)."""
    return str(uuid_utils.uuid7()).encode()
