"""Request headers that were read before: whole, or all of them but the caller's token.

Programs of one kind send the same lines, each with its caller's token among them. Such a block is a frame and a token,
so that a caller who is met for the first time is read like one who is known.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from coffee_core.wire.head_memory import HeadMemory

Headers = list[tuple[bytes, bytes]]

BEARER: Final = b"uthorization: Bearer "
"""How the line of a token begins, but for the first letter, which some write small."""
LENGTH_DIGITS: Final = 18
"""Of a body's length at most; a number of so many fits everywhere."""
_TOKEN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="
"""Characters of a token (RFC 6750, 2.1)."""


class HeadFrame(Struct, eq=False, gc=False):
    """What a block says whose token has been taken out. It is shared by all requests that have the same."""

    headers: Headers
    """The line of the token says nothing."""
    place: int
    """Of that line among them."""
    host: bytes
    length: int = 0
    note: object = None
    """As the one of `KnownHeaders`: it depends on the frame alone."""


class KnownHeaders(Struct, eq=False, gc=False):
    """What one block says. It may be shared by all requests that carry it, so nothing of it may be changed.

    Nothing in it frames a body but a length, and nothing upgrades or closes the connection: other heads are read each
    time.
    """

    headers: Headers
    host: bytes
    frame: HeadFrame | None = None
    """Where its token is the only Authorization, and other blocks have the rest as well."""
    token: bytes = b""
    note: object = None
    """What a reader further in has made of these headers: it depends on them alone, and is made once."""
    asked: object = None
    """The same of another reader, where the request asks about a request."""
    named: dict[bytes, bytes] | None = None
    """The headers by name, where no name is there twice."""
    length: int = 0
    """Bytes of the body."""


class RequestMemory(HeadMemory[KnownHeaders]):
    """Of whole blocks, and of as many frames."""

    __slots__ = ("_frames", "_frames_get")

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._frames: HeadMemory[HeadFrame] = HeadMemory(most)
        self._frames_get = self._frames.known.get

    def framed(self, block: bytes) -> KnownHeaders | None:
        """What a block says that is not known itself, where its frame is."""
        before, bearer, rest = block.partition(BEARER)
        token, end, after = rest.partition(b"\r\n")
        frame = self._frames_get(b"%b%b%b%b" % (before, bearer, end, after)) if bearer else None
        if frame is None or not token or token.translate(None, _TOKEN):
            return None
        headers = frame.headers.copy()
        headers[frame.place] = (b"authorization", b"Bearer " + token)
        known = KnownHeaders(headers, frame.host, frame, token, length=frame.length)
        if self.again(block):
            self.keep(block, known)
        return known

    def learn(self, block: bytes, headers: Headers, host: bytes, length: int) -> KnownHeaders | None:
        """A block that was read; given back if it is known from now on."""
        before, bearer, rest = block.partition(BEARER)
        if bearer and before[-1:] in {b"A", b"a"} and (len(before) == 1 or before[-3:-1] == b"\r\n"):
            places = [place for place, header in enumerate(headers) if header[0] == b"authorization"]
            frame = before + bearer + rest[rest.find(b"\r\n") :]
            if len(places) == 1 and self._frames.again(frame):
                others = headers.copy()
                others[places[0]] = (b"authorization", b"")
                self._frames.keep(frame, HeadFrame(others, places[0], host, length))
        return self.keep(block, KnownHeaders(headers, host, length=length)) if self.again(block) else None

    def forget(self) -> None:
        """All of them: what stands beside a token may be a secret too."""
        super().forget()
        self._frames.forget()
