"""The chunked transfer coding (RFC 9112 section 7.1), decoded strictly and exactly to its last byte."""

from __future__ import annotations

import re
from typing import Final

from coffee_core.wire.errors import WireError

MAX_SIZE_LINE: Final = 256
"""Bytes of a chunk's size with its extensions, which mean nothing here."""

MAX_TRAILERS: Final = 8 * 1024
"""Bytes of the trailer section."""

_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t -~\x80-\xff]*+)?").fullmatch
_TRAILER: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+").fullmatch
_MAX_CHUNK: Final = (1 << 63) - 1

_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class ChunkedDecoder:
    """Fed the bytes as they come; gives back the body's, and, once `done`, what follows the message in `rest`.

    `trailers` are the lines after the last chunk, without their ends. Whoever passes them on lets a sender speak past
    the checks that were made on the head, and has to choose.
    """

    __slots__ = ("_left", "_partial", "_state", "_status", "_trailers", "rest", "trailers")

    def __init__(self, *, status: int = 400) -> None:
        self._status = status
        self._state = _SIZE
        self._left = 0
        self._partial = b""
        self._trailers = 0
        self.rest = b""
        self.trailers: list[bytes] = []

    @property
    def done(self) -> bool:
        """The last chunk and the trailers have been read."""
        return self._state == _DONE

    def feed(self, data: bytes) -> bytes:
        """The body's bytes in `data`. What is not the coding to the letter is a `WireError`."""
        if self._partial:
            data = self._partial + data
            self._partial = b""
        pieces: list[bytes] = []
        at = 0
        while self._state != _DONE and at < len(data):
            if self._state == _DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if self._left == 0:
                    self._state = _DATA_END
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._keep(data[at:])
                break
            line = data[at:end]
            at = end + 2
            if self._state == _SIZE:
                self._size(line)
            elif self._state == _TRAILERS:
                self._trailer(line)
            elif line:
                raise WireError(self._status, "a chunk is longer than it said")
            else:
                self._state = _SIZE
        if self._state == _DONE:
            self.rest = data[at:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _keep(self, partial: bytes) -> None:
        bound = {_SIZE: MAX_SIZE_LINE, _TRAILERS: MAX_TRAILERS}.get(self._state, 0)
        if len(partial) > bound + 1 or b"\n" in partial or (self._state == _DATA_END and partial != b"\r"):
            raise WireError(self._status, "a chunk is not as long as it said, or its first line is too long")
        self._partial = partial

    def _size(self, line: bytes) -> None:
        found = _SIZE_LINE(line) if len(line) <= MAX_SIZE_LINE else None
        if found is None:
            raise WireError(self._status, "a chunk does not begin with its size")
        size = int(found[1], 16)
        if size > _MAX_CHUNK:
            raise WireError(self._status, "a chunk's size is out of range")
        self._left = size
        self._state = _DATA if size else _TRAILERS

    def _trailer(self, line: bytes) -> None:
        if not line:
            self._state = _DONE
            return
        self._trailers += len(line) + 2
        if self._trailers > MAX_TRAILERS:
            raise WireError(431 if self._status == 400 else self._status, "the trailers are too long")
        if _TRAILER(line) is None:
            raise WireError(self._status, "a trailer is malformed")
        self.trailers.append(line)
