"""One reading of a request target, shared by gateway and modules: what one of them decides about a path, the other
means as well.

Refused with 400, because some server somewhere reads each of them in another way: encoded slash or backslash, a raw
backslash, dot segments in any spelling (`/../`, `/%2e%2e/`, `/..;x/`), empty segments (`//`), NUL and other control
characters, bytes that are no UTF-8, broken percent escapes, fragments, and every form but the origin form.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from coffee_core.wire.errors import WireError


class Target(NamedTuple):
    """A target in its canonical spelling.

    `path` still carries the escapes that mean something (RFC 3986 section 6.2.2: unreserved characters are unescaped,
    hex digits are upper case, characters with no place in a path are escaped), `query` is raw, without the `?`.
    `b"?".join(target)` is the target to send on, unless the query is empty.
    """

    path: bytes
    query: bytes


_new: Final = tuple.__new__
"""Makes a NamedTuple without a call of Python: one is made of every request's target."""

_PLAIN: Final = re.compile(rb"[A-Za-z0-9\-_~!$&'()*+,;=:@/.]++").fullmatch
_VISIBLE: Final = re.compile(rb"[!-~]*+").fullmatch
_QUERY: Final = bytes(range(0x21, 0x7F)).replace(b"#", b"")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})|[%\"<>^`{|}\[\]]")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]").search
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DOTS: Final = frozenset((".", ".."))


def normalise(target: bytes) -> Target:
    """The canonical spelling of an origin-form target; `WireError` 400 for what has no single meaning."""
    path, _, query = target.partition(b"?")
    if query:
        check_query(query)
    return _new(Target, (canonical_path(path), query))


def canonical_path(path: bytes) -> bytes:
    """The canonical spelling of what stands before the `?`; `WireError` 400 for what has no single meaning."""
    if _PLAIN(path) is None or b"//" in path or b"/." in path or path[0] != 0x2F:
        return _canonical(path)
    return path


def is_query(query: bytes) -> bool:
    """Whether a query, without its `?`, has no characters that must be escaped."""
    return not query.translate(None, _QUERY)


def check_query(query: bytes) -> None:
    """`WireError` 400 for a query, without its `?`, with characters that must be escaped."""
    if not is_query(query):
        raise WireError(400, "the query has a character that must be percent-encoded")


def decode_path(path: bytes) -> str:
    """The path of a `Target`, percent-decoded once: `/a%20b` is `/a b`, and `/a%2520b` is `/a%20b`."""
    return unquote_to_bytes(path).decode() if b"%" in path else path.decode("ascii")


def _canonical(path: bytes) -> bytes:
    if not path.startswith(b"/"):
        raise WireError(400, "the request target must be a path that starts with a slash")
    if _VISIBLE(path) is None or b"#" in path:
        raise WireError(400, "the path has a character that must be percent-encoded")
    path = _ESCAPE.sub(_escape, path)
    if b"//" in path:
        raise WireError(400, "the path has an empty segment")
    if b"\\" in path or b"%2F" in path or b"%5C" in path:
        raise WireError(400, "the path has a backslash or an encoded slash")
    try:
        text = decode_path(path)
    except UnicodeDecodeError:
        raise WireError(400, "the path is not UTF-8") from None
    if any(segment.partition(";")[0] in _DOTS for segment in text.split("/")):
        raise WireError(400, "the path has a dot segment")
    if _CONTROL(text):
        raise WireError(400, "the path has a control character")
    return path


def _escape(found: re.Match[bytes]) -> bytes:
    digits = found[1]
    if digits is None:
        if found[0] == b"%":
            raise WireError(400, "the path has a percent sign that is not followed by two hex digits")
        return b"%%%02X" % found[0][0]
    byte = int(digits, 16)
    return bytes((byte,)) if byte in _UNRESERVED else b"%" + digits.upper()
