"""TLS on a raw connection that is open already, so that a test decides what comes before it."""

from __future__ import annotations

import asyncio
import ssl

from tests.support.raw_http import BOUND, RawClient


class Encrypted:
    """A connection after its handshake."""

    def __init__(self, raw: RawClient, context: ssl.SSLContext) -> None:
        self._raw = raw
        self._into, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._into, self._out)

    async def handshake(self) -> None:
        """Until it is through."""
        while True:
            try:
                self._session.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._more()
        self._raw.send(self._out.read())

    def send(self, data: bytes) -> None:
        """Without waiting."""
        self._session.write(data)
        self._raw.send(self._out.read())

    async def read(self) -> bytes:
        """What comes next."""
        async with asyncio.timeout(BOUND):
            while True:
                try:
                    return self._session.read(65536)
                except ssl.SSLWantReadError:
                    await self._more()

    async def _more(self) -> None:
        self._raw.send(self._out.read())
        async with asyncio.timeout(BOUND):
            data = await self._raw.reader.read(65536)
        if not data:
            raise ConnectionResetError("the server has left")
        self._into.write(data)


async def encrypt(raw: RawClient, context: ssl.SSLContext) -> Encrypted:
    """Shake hands."""
    encrypted = Encrypted(raw, context)
    await encrypted.handshake()
    return encrypted
