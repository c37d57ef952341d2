"""Content-Encoding undone in pieces of bounded size: a small body that grows huge is stopped as it grows."""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from coffee_core.embedded.clickhouse_front.errors import CANNOT_DECOMPRESS, NOT_IMPLEMENTED, refused

PIECE = 1 << 20
"""Most that one step brings forth. Bytes."""


class Frame(Protocol):
    """One compressed frame: what lz4 and zstd decompressors have in common."""

    @property
    def eof(self) -> bool | None:
        """The frame is complete."""
        ...

    @property
    def needs_input(self) -> bool | None:
        """There is nothing more to bring forth without further bytes."""
        ...

    @property
    def unused_data(self) -> bytes | bytearray | None:
        """What followed the frame."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most `max_length` bytes; the rest is kept."""
        ...


class ZlibFrame:
    """zlib's decompressor in that shape: it hands back what it did not consume."""

    def __init__(self, wbits: int) -> None:
        self._zlib = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool | None:
        """The stream is complete, and its checksum was right."""
        return self._zlib.eof

    @property
    def needs_input(self) -> bool | None:
        """There is nothing more to bring forth without further bytes."""
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        """What followed the stream."""
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most `max_length` bytes; the rest is kept."""
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


class Inflater:
    """Undoes one encoding; frames may follow one another, as RFC 1952 and the formats of lz4 and zstd allow."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._new_frame = _frames(encoding)
        self._frame: Frame | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bytes that these bring forth, piece by piece."""
        if self._new_frame is None:
            yield data
            return
        while data or (self._frame is not None and not self._frame.needs_input):
            frame = self._frame = self._frame or self._new_frame()
            try:
                piece = frame.decompress(data, PIECE)
            except Exception as error:  # each library has its own kind
                raise refused(CANNOT_DECOMPRESS, f"the body is not {self._encoding}: {error}") from error
            data = b""
            if frame.eof:
                data, self._frame = bytes(frame.unused_data or b""), None
            if piece:
                yield piece

    def finish(self) -> None:
        """The body ends here; in the middle of a frame that is an error."""
        if self._frame is not None:
            raise refused(CANNOT_DECOMPRESS, f"the body ends in the middle of its {self._encoding} data")


def _frames(encoding: str) -> Callable[[], Frame] | None:
    match encoding:
        case "" | "identity":
            return None
        case "gzip":
            return lambda: ZlibFrame(31)
        case "deflate":
            return lambda: ZlibFrame(15)
        case "lz4":
            import lz4.frame  # type: ignore[import-untyped] # publishes no types

            lz4_frame: Callable[[], Frame] = lz4.frame.LZ4FrameDecompressor
            return lz4_frame
        case "zstd":
            from backports import zstd

            return zstd.ZstdDecompressor
        case _:
            raise refused(NOT_IMPLEMENTED, f"Content-Encoding {encoding}: use lz4, zstd, gzip, deflate or none")
