"""An HTTP server that answers what it is told, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Self


class Asked(NamedTuple):
    """One request: its first line, its headers by lower-case name, its body."""

    line: str
    headers: dict[str, str]
    body: bytes


class Scripted:
    """Each connection reads one request, sends the next answer as it stands (empty: nothing), and closes.

    Whoever else asks on this machine, because the port was somebody else's before, is not heard.
    """

    def __init__(self, answers: Sequence[bytes]) -> None:
        self.asked: list[Asked] = []
        self._answers = list(answers)
        self._path = f"/{secrets.token_hex(8)}"
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{self._path}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head.strip().split("\r\n")
        if f" {self._path}/" not in line:
            writer.close()
            return
        line = line.replace(self._path, "", 1)
        headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.asked.append(Asked(line, headers, body))
        writer.write(self._answers.pop(0))
        await writer.drain()
        writer.close()


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A whole answer; `retry_after="1"` is the header Retry-After."""
    lines = [f"HTTP/1.1 {status} x", f"content-length: {len(body)}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
