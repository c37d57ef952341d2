"""A transport of nothing but memory: what protocols ask of one, without a socket."""

from __future__ import annotations


class MemoryTransport:
    """Always open and never full; a subclass keeps or counts what is written."""

    def write(self, data: bytes) -> None:
        """What the protocol says."""
        raise NotImplementedError

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 50000) if name == "peername" else default

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def close(self) -> None:
        pass
