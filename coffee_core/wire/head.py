"""Message heads, read strictly (RFC 9112), and refused where two readers might differ.

A head is handed over whole, from its first byte to the empty line, so that its meaning cannot depend on how the
network cut it into pieces. Every byte of it is matched by an anchored pattern; there is no lenient mode. What is
accepted here is accepted, with the same fields, by llhttp: `tests/coffee_core/wire/test_second_opinion.py`.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from coffee_core.wire.answer import status_line
from coffee_core.wire.answer_lines import FRAMING, AnswerLine, AnswerLines
from coffee_core.wire.errors import WireError
from coffee_core.wire.head_memory import HeadMemory
from coffee_core.wire.header_lines import HeaderLines
from coffee_core.wire.request_memory import LENGTH_DIGITS, KnownHeaders, RequestMemory

METHODS: Final = frozenset(
    b"GET HEAD POST PUT PATCH DELETE OPTIONS QUERY PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH".split()
)
"""What is served. CONNECT asks for a tunnel, TRACE echoes credentials: 501, as for any unknown method."""

_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++").fullmatch
_VERSION: Final = re.compile(rb"HTTP/[0-9](?:\.[0-9])?").fullmatch
_AUTHORITY: Final = re.compile(rb"[A-Za-z0-9\-._~!$&'()*+,;=%:\[\]]*+").fullmatch
_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++) ([!-~]++) HTTP/1\.([01])\r\n").match
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [\t -~\x80-\xff]*+)?").fullmatch

_NO_OPTIONS: Final[frozenset[bytes]] = frozenset()

_LISTS: Final = frozenset((b"connection", b"upgrade"))
"""Of the others that frame a message a second line is an attack or a mistake."""


class RequestHead(Struct, eq=False, gc=False):
    """What a request says before its body.

    `target` is in origin form, not yet normalised. The body has `length` bytes, or, if `chunked`, ends itself.
    `connection` has the options of the Connection header, in lower case. `known` is there if the same header lines came
    before: `headers` are then shared with other requests. `named` are the headers by name, where that was looked at and
    no name is there twice; they may be shared too.
    """

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    host: bytes
    known: KnownHeaders | None = None
    named: dict[bytes, bytes] | None = None
    http10: bool = False
    length: int = 0
    chunked: bool = False
    keep_alive: bool = True
    expects_continue: bool = False
    connection: frozenset[bytes] = _NO_OPTIONS
    upgrade: bytes = b""


class ResponseHead:
    """What an answer says before its body. `length` is None if the body has none and is not chunked: it ends with the
    connection. `passing` are the lines that go on, with their ends: but for those that its reader drops. `whole` is
    status line, `passing` and content-length where that is all there is to say; else it is empty.
    """

    __slots__ = (
        "chunked",
        "connection",
        "keep_alive",
        "length",
        "lines",
        "passing",
        "special",
        "status",
        "upgrade",
        "whole",
    )

    lines: list[AnswerLine]
    passing: bytes
    whole: bytes
    special: dict[bytes, bytes]
    status: int
    length: int | None
    chunked: bool
    keep_alive: bool
    connection: frozenset[bytes]
    upgrade: bytes

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Names, in lower case, and values."""
        return [line[:2] for line in self.lines]


def read_request_head(
    block: bytes, lines: HeaderLines, max_line: int, max_headers: int, memory: RequestMemory | None = None
) -> RequestHead:
    """`block` is a head with the empty line that ends it. What is ambiguous, or not served, is a `WireError`."""
    line = _REQUEST_LINE(block)
    if line is None:
        raise _refused_line(block, max_line)
    method, target, minor = line.groups()
    start = line.end()
    if start - 2 > max_line:
        raise _too_long(max_line)
    if method not in METHODS:
        raise WireError(501, "this method is not served here")
    old = minor == b"0"
    if memory is not None and not old:
        rest = block[start:]
        known = memory.known.get(rest) or memory.framed(rest)
        if known is not None:
            target = target if target[0] == 0x2F else _origin_form(target, known.host)
            return RequestHead(method, target, known.headers, known.host, known, known.named, False, known.length)
    else:
        rest = b""
    known_line, read = lines.known.get, lines.read
    text = block[start:-4]
    headers = [known_line(line) or read(line) for line in text.split(b"\r\n")] if text else []
    named = dict(headers)
    once = len(named) == len(headers)
    special = {name: named[name] for name in FRAMING.intersection(named)} if once else _special(headers)
    host = special.get(b"host", b"")
    target = target if target[0] == 0x2F else _origin_form(target, host)
    if len(headers) > max_headers:
        raise WireError(431, f"there are more than {max_headers} header lines")
    if not host and not old:
        raise WireError(400, "an HTTP/1.1 request names its host")
    if _AUTHORITY(host) is None:
        raise WireError(400, "the header host is not a host and port")
    head = RequestHead(method, target, headers, host, None, named if once else None)
    if not old and len(special) == 2 and b"content-length" in special:  # beside the host: nearly all that have a body
        head.length = _length(special[b"content-length"], 400)
    elif old or not _says_no_more(special):
        _read_framing(head, special, old)
        return head
    if rest and memory is not None:
        head.known = memory.learn(rest, headers, host, head.length)
    return head


def known_request(
    data: bytes, start: int, end: int, max_line: int, memory: RequestMemory
) -> tuple[bytes, bytes, KnownHeaders] | None:
    """Method, target in origin form, and headers, of a head that stands in these bytes of others, if its headers are
    known as a whole. `None`: `read_request_head` knows more."""
    line = _REQUEST_LINE(data, start)
    if line is None:
        return None
    begins = line.end()
    known = memory.known.get(data[begins:end])
    if known is None or begins - start - 2 > max_line:
        return None
    method, target, minor = line.groups()
    return (method, target, known) if minor == b"1" and target[0] == 0x2F and method in METHODS else None


def _read_framing(head: RequestHead, special: dict[bytes, bytes], old: bool) -> None:
    head.http10 = old
    head.chunked, length = _framing(special, old, 400)
    head.length = length or 0
    head.connection = connection = _options(special)
    head.keep_alive = not old and b"close" not in connection
    head.upgrade = special.get(b"upgrade", b"") if b"upgrade" in connection and not old else b""
    head.expects_continue = _expects(special, old) and (head.chunked or head.length > 0)


def _says_no_more(special: dict[bytes, bytes]) -> bool:
    """Whether there is nothing beside the one header that is known to be there, but that the connection stays."""
    return len(special) == 1 or (len(special) == 2 and special.get(b"connection") == b"keep-alive")


def check_part_of_head(data: bytes, *, max_line: int, max_head: int) -> None:
    """Refuse what cannot become a request's head any more, whatever comes next."""
    if len(data) > max_line and data.find(b"\r\n", 0, max_line + 2) < 0:
        raise _too_long(max_line)
    if len(data) > max_head:
        raise WireError(431, f"the request's head has more than {max_head} bytes")
    if data.count(b"\n") != data.count(b"\r\n"):
        raise WireError(400, "a line of the head does not end in CR LF")


def read_response_head(
    block: bytes,
    lines: AnswerLines,
    *,
    max_headers: int,
    head_request: bool,
    memory: HeadMemory[ResponseHead] | None = None,
) -> ResponseHead:
    """The same for an upstream's answer, final or interim; what is ambiguous is a `WireError` 502.

    `memory` gets what comes again, for who looks there before; nobody may change it. It gets no answer to HEAD, which
    has another meaning, and none that sets a cookie.
    """
    head = _response_head(block, lines, max_headers, head_request=head_request)
    if memory is not None and not head_request and not _sets_cookie(head) and memory.again(block):
        memory.keep(block, head)
    return head


def _sets_cookie(head: ResponseHead) -> bool:
    return any(line[0] == b"set-cookie" for line in head.lines)


def _response_head(block: bytes, lines: AnswerLines, max_headers: int, *, head_request: bool) -> ResponseHead:
    texts = block[:-4].split(b"\r\n")
    first = texts[0]
    status, old = lines.statuses.get(first) or _status(first, lines)
    head = ResponseHead()
    known, read = lines.known.get, lines.read
    special: dict[bytes, bytes] = {}
    try:
        head.lines = found = [known(text) or read(text) for text in texts[1:]]
        for name, value, _, frames in found:
            if not frames:
                continue
            if name in special:
                _join(special, name, value)
            else:
                special[name] = value
    except WireError as error:
        raise WireError(502, error.detail) from None
    if len(found) > max_headers:
        raise WireError(502, f"the upstream sent more than {max_headers} header lines")
    head.passing = b"".join([line[2] for line in found])
    head.special = special
    head.status = status
    head.whole = b""
    length = special.get(b"content-length", b"")
    if length.isdigit() and len(length) <= LENGTH_DIGITS and _says_no_more(special):
        head.chunked, head.length, head.connection = False, int(length), _NO_OPTIONS
        head.keep_alive, head.upgrade = not old, b""
        if status >= 200 and status != 204 and status != 304 and not head_request:  # noqa: PLR1714 - as below
            head.whole = b"%b%bcontent-length: %d\r\n" % (status_line(status), head.passing, head.length)
    else:
        head.chunked, head.length = _framing(special, old, 502)
        head.connection = connection = _options(special)
        head.keep_alive = not old and b"close" not in connection
        head.upgrade = special.get(b"upgrade", b"") if b"upgrade" in connection else b""
    if head_request or status < 200 or status == 204 or status == 304:  # noqa: PLR1714 - a set costs more
        head.chunked, head.length = False, 0
    elif head.length is None and not head.chunked:
        head.keep_alive = False
    return head


def _status(line: bytes, lines: AnswerLines) -> tuple[int, bool]:
    """Status, and whether it is HTTP/1.0's. There are few such lines: short ones are remembered."""
    found = _STATUS_LINE(line)
    if found is None:
        raise WireError(502, "the upstream's status line is not HTTP/1.1")
    status = (int(found[2]), found[1] == b"0")
    if len(line) <= 64 and len(lines.statuses) < 128:
        lines.statuses[line] = status
    return status


def _special(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    special: dict[bytes, bytes] = {}
    for name, value in headers:
        if name not in FRAMING:
            continue
        if name in special:
            _join(special, name, value)
        else:
            special[name] = value
    return special


def _join(special: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    """A second line of a name."""
    if name in _LISTS:
        special[name] += b", " + value
    else:
        raise WireError(400, f"the header {name.decode()} is there twice")


def _too_long(max_line: int) -> WireError:
    return WireError(414, f"the request line has more than {max_line} bytes")


def _refused_line(block: bytes, max_line: int) -> WireError:
    """What is wrong with a request line that is none."""
    line = block[: block.find(b"\r\n")]
    if len(line) > max_line:
        return _too_long(max_line)
    words = line.split(b" ")
    if len(words) != 3 or not words[1]:
        return WireError(400, "the request line is not a method, a target and a version, one space apart")
    method, target, version = words
    if _VERSION(version) is None:
        return WireError(400, "the request line does not end with an HTTP version")
    if version not in {b"HTTP/1.1", b"HTTP/1.0"}:
        return WireError(505, "only HTTP/1.1 and HTTP/1.0 are served here")
    if _TOKEN(method) is None:
        return WireError(400, "the method is not a token")
    return WireError(400, f"the request target has a character that must be percent-encoded: {target[:100]!r}")


def _origin_form(target: bytes, host: bytes) -> bytes:
    """An absolute target (RFC 9112 section 3.2.2) that names the same authority as Host loses it: a server in the
    middle may trust either, so they must agree. The other forms are refused: they are for proxies and for the server
    as a whole, and nothing here serves those."""
    scheme, colon, rest = target.partition(b"://")
    if not colon or scheme.lower() not in {b"http", b"https"}:
        raise WireError(400, "the request target must be a path that starts with a slash")
    authority, _, path = rest.partition(b"/")
    if not authority or authority.lower() != host.lower():
        raise WireError(400, "the request target and the header host name different hosts")
    return b"/" + path


def _framing(special: dict[bytes, bytes], old: bool, status: int) -> tuple[bool, int | None]:
    """Whether the body is chunked, and else its length if one is given."""
    if not special:
        return False, None
    if len(special) == 1 and b"content-length" in special:
        return False, _length(special[b"content-length"], status)
    coding = special.get(b"transfer-encoding")
    length = special.get(b"content-length")
    if b"content_length" in special or b"transfer_encoding" in special:
        raise WireError(status, "a framing header is spelled with an underscore")
    if coding is not None:
        if length is not None or old:
            raise WireError(status, "transfer-encoding with content-length, or in HTTP/1.0, is ambiguous")
        if coding.lower() != b"chunked":
            if b"chunked" in coding.lower().rpartition(b",")[0]:
                raise WireError(status, "chunked is not the last transfer coding: the body has no end")
            raise WireError(501 if status == 400 else status, "only the transfer coding chunked is served here")
        return True, None
    return False, None if length is None else _length(length, status)


def _length(text: bytes, status: int) -> int:
    if not text.isdigit() or len(text) > LENGTH_DIGITS:
        raise WireError(status, "content-length is not a number")
    return int(text)


def _options(special: dict[bytes, bytes]) -> frozenset[bytes]:
    value = special.get(b"connection")
    if value is None or value == b"keep-alive":
        return _NO_OPTIONS
    return frozenset(option.strip(b" \t") for option in value.lower().split(b","))


def _expects(special: dict[bytes, bytes], old: bool) -> bool:
    value = special.get(b"expect")
    if value is None:
        return False
    if value.lower() != b"100-continue":
        raise WireError(417, "the only expectation met here is 100-continue")
    return not old
