"""ETag, If-Match and If-None-Match: the row's version (RFC 9110 sections 8.8.3, 13.1)."""

from __future__ import annotations

from coffee_core.domain.errors import FieldError, InputError, VersionMismatchError, VersionRequiredError
from coffee_core.wire.message import Headers


def etag(version: int) -> bytes:
    """A strong validator."""
    return b'"%d"' % version


def expected_version(headers: Headers, *, required: bool) -> int | None:
    """The version a write is based on; None for any (`*`, or no If-Match where none is required)."""
    raw = headers.get(b"if-match")
    if raw is None:
        if required:
            raise VersionRequiredError("this write must name the version it is based on: send If-Match with the ETag")
        return None
    if raw == b"*":
        return None
    if raw[:2] == b"W/":
        raise VersionMismatchError("If-Match needs the strong ETag that was given: a weak one never matches")
    if len(raw) > 2 and raw[:1] == raw[-1:] == b'"' and raw[1:-1].isdigit() and len(raw) <= 20:
        return int(raw[1:-1])
    detail = 'must be one ETag as it was given, like "3", or *'
    raise InputError(f"If-Match {detail}", errors=[FieldError("If-Match", detail)])


def not_modified(headers: Headers, version: int) -> bool:
    """Whether the caller already has this version."""
    raw = headers.get(b"if-none-match")
    if raw is None:
        return False
    mine = etag(version)
    return raw == b"*" or any(part.strip().removeprefix(b"W/") == mine for part in raw.split(b","))
