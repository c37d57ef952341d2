"""What gateways forward to: an HTTP/1.1 server that reads a request's body, if it has one, and answers with 1 KB; with
1 MB where the target ends in `/big`."""

from __future__ import annotations

import asyncio
import sys

import uvloop

LENGTH = b"\ncontent-length:"


def answer(size: int) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n"
    return head % size + b"x" * size


SMALL, BIG = answer(1024), answer(1 << 20)


class Server(asyncio.Protocol):
    """One connection. Bodies have a content-length here."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""
        self.left = 0
        """Of the body in hand."""

    def data_received(self, data: bytes) -> None:
        if self.left:
            taken = min(self.left, len(data))
            self.left -= taken
            if self.left:
                return
            self.say(SMALL)
            data = data[taken:]
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head, rest = self.buffer[:end].lower(), self.buffer[end + 4 :]
            place = head.find(LENGTH)
            length = 0 if place < 0 else int(head[place + len(LENGTH) :].partition(b"\r")[0])
            self.buffer = rest[length:]
            if length > len(rest):
                self.left = length - len(rest)
                return
            self.say(BIG if head.partition(b"\r")[0].endswith(b"/big http/1.1") else SMALL)

    def say(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[attr-defined]  # uvloop's transports are no subclass


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
