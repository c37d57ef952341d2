"""The form of questions and answers on a connection to Redis (RESP 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias


class Fault(NamedTuple):
    """What the server says instead of a reply."""

    text: bytes


Reply: TypeAlias = "bytes | int | Fault | list[Reply] | None"

MOST = 1 << 26
"""Bytes of one reply, and elements of a list: more is no reply of Redis to a question of ours."""
DEEPEST = 8

_STRING, _BULK, _NUMBER, _LIST, _FAULT = b"+$:*-"


def pack(parts: Sequence[bytes]) -> bytes:
    """A command."""
    return b"".join([b"*%d\r\n" % len(parts), *[b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]])


def read(data: bytes, at: int = 0, depth: int = 0) -> tuple[Reply, int] | None:
    """The reply that begins there and where it ends; `None` while a part of it is missing. `ValueError`: no reply."""
    end = data.find(b"\r\n", at)
    if end < 0:
        if len(data) - at > MOST:
            raise ValueError("a line without an end")
        return None
    kind, behind = data[at], end + 2
    if kind == _FAULT:
        return Fault(data[at + 1 : end]), behind
    if kind == _STRING:
        return data[at + 1 : end], behind
    number = int(data[at + 1 : end])
    if kind == _NUMBER:
        return number, behind
    if kind not in {_BULK, _LIST} or number > MOST or depth > DEEPEST:
        raise ValueError("no reply")
    if number < 0:
        return None, behind
    if kind == _BULK:
        end = behind + number
        if len(data) < end + 2:
            return None
        if data[end : end + 2] != b"\r\n":
            raise ValueError("a string longer than it says")
        return data[behind:end], end + 2
    return _items(data, behind, number, depth)


def texts(data: bytes) -> list[Reply] | None:
    """The list that this is, where it is whole, alone, and of texts without an end of line. There may be hundreds: they
    are read in one go. `None` says nothing about it."""
    pieces = data.split(b"\r\n")
    found: list[Reply] = [*pieces[2:-1:2]]
    if len(pieces) == 2 * len(found) + 2 and not pieces[-1] and pieces[0] == b"*%d" % len(found):
        lengths = [b"$%d" % len(text) for text in pieces[2:-1:2]]
        return found if pieces[1:-1:2] == lengths else None
    return None


def _items(data: bytes, at: int, number: int, depth: int) -> tuple[Reply, int] | None:
    """So many replies. Texts are read here as above, without a call for each."""
    items: list[Reply] = []
    for _ in range(number):
        end = data.find(b"\r\n", at)
        if end >= 0 and data[at] == _BULK and (length := int(data[at + 1 : end])) >= 0:
            begin, behind = end + 2, end + 4 + length
            if length > MOST:
                raise ValueError("no reply")
            if len(data) < behind:
                return None
            if data[behind - 2 : behind] != b"\r\n":
                raise ValueError("a string longer than it says")
            items.append(data[begin : behind - 2])
            at = behind
            continue
        found = read(data, at, depth + 1)
        if found is None:
            return None
        items.append(found[0])
        at = found[1]
    return items, at
