"""A question over HTTP that needs no client: is it there, and well?"""

import asyncio
import contextlib

ANSWER_SECONDS = 2.0


async def is_well(host: str, port: int, path: str) -> bool:
    """Whether a GET is answered with 200 in time."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    return False
