"""A proxy that asks for verdicts over one connection: what gateway/data_plane/verdict_stream.py says, from the other
side."""

from __future__ import annotations

import asyncio
import itertools
import os
import struct
from collections.abc import Sequence
from typing import NamedTuple, Self

from tests.support.raw_http import BOUND, RawClient

OPENING = b"GET /_gateway/verdict HTTP/1.1\r\nhost: g\r\nconnection: upgrade\r\nupgrade: coffee-verdicts\r\n\r\n"
PEER = b"203.0.113.9"
ID = b"x-bb-requestid: %b\r\n"
HTTP, HTTPS = 0, 1


def frame(behind: bytes) -> bytes:
    """With its length."""
    return struct.pack(">I", len(behind)) + behind


def question(number: int, head: bytes, *, scheme: int = HTTP, peer: bytes = PEER) -> bytes:
    """About one request."""
    return frame(struct.pack(">IBB", number, scheme, len(peer)) + peer + head)


def get(target: bytes, *lines: bytes) -> bytes:
    """A head."""
    return b"".join((b"GET ", target, b" HTTP/1.1\r\nhost: a\r\n", *(line + b"\r\n" for line in lines), b"\r\n"))


class Told(NamedTuple):
    """One answer."""

    number: int
    status: int
    request_id: bytes
    lines: bytes
    """But for the first, which says the id."""
    caller: bytes
    target: bytes
    rest: bytes

    def header(self, name: bytes) -> bytes:
        """Of the lines for the caller."""
        return value_of(self.lines, name)

    def sent(self, name: bytes) -> bytes:
        """Of the lines to send on."""
        return value_of(self.rest, name)


def value_of(lines: bytes, name: bytes) -> bytes:
    """Of the one line of that name; empty if there is none."""
    pairs = [line.split(b": ", 1) for line in lines.split(b"\r\n")[:-1]]
    found = [value for each, value in pairs if each == name]
    assert len(found) <= 1, found
    return found[0] if found else b""


def read(behind: bytes) -> Told:
    """What stands behind a length, which has to be what the protocol says."""
    number, status, *lengths = struct.unpack_from(">IHHHHH", behind)
    bytes_of_id, bytes_of_lines, bytes_of_caller, bytes_of_target = lengths
    at = 14
    lines, at = behind[at : at + bytes_of_lines], at + bytes_of_lines
    caller, at = behind[at : at + bytes_of_caller], at + bytes_of_caller
    target, at = behind[at : at + bytes_of_target], at + bytes_of_target
    assert at <= len(behind)
    said = ID % lines[16 : 16 + bytes_of_id]
    assert lines.startswith(said)
    assert lines.endswith(b"\r\n")
    rest = behind[at:]
    if status in {0, 1}:
        assert rest.endswith(said)
        assert caller.count(b"\t") == 2
    else:
        assert not caller + target
    return Told(number, status, lines[16 : 16 + bytes_of_id], lines[len(said) :], caller, target, rest)


class VerdictProxy:
    """One connection that has been opened."""

    def __init__(self, client: RawClient) -> None:
        self.client = client
        self._numbers = itertools.count(1)

    @classmethod
    async def open(cls, client: RawClient) -> Self:
        """By what a proxy sends."""
        client.send(OPENING)
        status, headers = await client.head()
        *opened, process = headers
        assert (status, opened) == (101, [(b"connection", b"upgrade"), (b"upgrade", b"coffee-verdicts")])
        assert process == (b"x-bb-process", b"%d" % os.getpid()), "a front of this process"
        return cls(client)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.client.writer.close()

    def put(self, head: bytes, *, scheme: int = HTTP, peer: bytes = PEER) -> int:
        """Ask without waiting; the question's number."""
        number = next(self._numbers)
        self.client.send(question(number, head, scheme=scheme, peer=peer))
        return number

    async def frame(self) -> bytes:
        """What the next one has behind its length."""
        async with asyncio.timeout(BOUND):
            (length,) = struct.unpack(">I", await self.client.reader.readexactly(4))
            return await self.client.reader.readexactly(length)

    async def told(self) -> Told:
        """The next answer."""
        return read(await self.frame())

    async def ask(self, head: bytes, *, scheme: int = HTTP, peer: bytes = PEER) -> Told:
        """One question, which is the only one."""
        (told,) = await self.ask_all([(head, scheme, peer)])
        return told

    async def ask_all(self, questions: Sequence[tuple[bytes, int, bytes]]) -> list[Told]:
        """All in one write; the answers in the order of the questions."""
        numbered = [(next(self._numbers), *each) for each in questions]
        self.client.send(b"".join([question(n, head, scheme=s, peer=p) for n, head, s, p in numbered]))
        told = {each.number: each for each in [await self.told() for _ in questions]}
        return [told[number] for number, *_ in numbered]
