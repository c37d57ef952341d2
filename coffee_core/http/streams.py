"""Streamed answers: the layers have returned before the first chunk leaves, so what they do at the end is hung on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

End: TypeAlias = Callable[[int, BaseException | None], None]
"""Called once with the bytes sent and what broke the stream off, None if it came to its end."""


@asynccontextmanager
async def closing(stream: AsyncIterable[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """Iterate `stream` and close it for certain: one that is left half-way must not wait for the collector."""
    chunks = aiter(stream)
    try:
        yield chunks
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


async def watched(stream: AsyncIterable[bytes], end: End) -> AsyncIterator[bytes]:
    """`stream`, and then `end`."""
    sent = 0
    try:
        async with closing(stream) as chunks:
            async for chunk in chunks:
                sent += len(chunk)
                yield chunk
    except BaseException as error:
        end(sent, error)
        raise
    end(sent, None)
