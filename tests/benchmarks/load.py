"""A load generator: keeps N connections busy with given requests and prints what came back, as one JSON line.

Run as a process of its own, beside what it loads: `python -m tests.benchmarks.load HOST PORT CONNECTIONS SECONDS FILE`.
FILE holds the requests, each as a JSON string of bytes in Latin-1, one a line; they are used in turn. With `once` as
the last word no request is sent twice: the run ends when they are used up, if not before.

It shares its core with the database, so it does as little as a generator in Python can: sockets under epoll, one
receive and one send a request, no event loop between.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from itertools import chain, cycle
from pathlib import Path

RECEIVE = 1 << 18
NAME = b"\r\ncontent-length:"


class Client:
    """One connection: sends a request, reads its answer by content-length, sends the next."""

    __slots__ = ("buffer", "missing", "receive", "send", "sent", "socket", "unsent")

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.receive, self.send = self.socket.recv, self.socket.send
        self.unsent = memoryview(b"")
        """Of a request that the socket did not take at once."""
        self.buffer = b""
        self.missing = -1
        self.sent = 0.0


class Run:
    """Some connections that ask until the time is over, or all has been asked."""

    def __init__(self, host: str, port: int, connections: int, requests: list[bytes], *, once: bool = False) -> None:
        self.requests = chain(requests, [b""]) if once else cycle(requests)
        self.latencies: list[float] = []
        self.bad = 0
        made = [Client(host, port) for _ in range(connections)]
        self.clients = {client.socket.fileno(): client for client in made}
        self.poll = select.epoll(len(self.clients))

    def go(self, seconds: float) -> float:
        """Load for so long; answers how long it was."""
        poll = self.poll
        clock, clients = time.perf_counter, self.clients
        begun = now = clock()
        for number, client in clients.items():
            poll.register(number, select.EPOLLIN)
            self._ask(client, now)
        while now - begun < seconds and clients:
            for number, event in poll.poll(0.2):
                client = clients[number]
                if event & select.EPOLLOUT:
                    self._send_on(client)
                if not event & ~select.EPOLLOUT:
                    continue
                try:
                    data = client.receive(RECEIVE)
                except OSError:
                    data = b""
                now = clock()
                if not data:
                    self.bad += 1
                    poll.unregister(number)
                    del clients[number]
                elif self._whole(client, data):
                    self.latencies.append(now - client.sent)
                    if not self._ask(client, now):
                        return now - begun
            now = clock()
        return now - begun

    def _ask(self, client: Client, now: float) -> bool:
        """Whether there was another request."""
        request = next(self.requests)
        client.sent = now
        if request:
            done = client.send(request)
            if done != len(request):
                client.unsent = memoryview(request)[done:]
                self.poll.modify(client.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)
        return bool(request)

    def _send_on(self, client: Client) -> None:
        try:
            client.unsent = client.unsent[client.send(client.unsent) :]
        except BlockingIOError:
            return
        if not client.unsent:
            self.poll.modify(client.socket.fileno(), select.EPOLLIN)

    def _whole(self, client: Client, data: bytes) -> bool:
        """Whether the answer in hand is complete with `data`."""
        if client.missing >= 0:
            client.missing -= len(data)
        else:
            if client.buffer:
                data = client.buffer + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                client.buffer = data
                return False
            client.buffer = b""
            if data[9:10] != b"2":
                self.bad += 1
            place = data.find(NAME, 0, end)
            if place < 0:
                place = data[:end].lower().find(NAME)
                if place < 0:
                    raise SystemExit(f"no content-length in {data[:end]!r}")
            place += len(NAME)
            client.missing = int(data[place : data.find(b"\r", place)]) - (len(data) - end - 4)
        if client.missing:
            return False
        client.missing = -1
        return True


def load(
    host: str, port: int, connections: int, seconds: float, requests: list[bytes], *, once: bool = False
) -> dict[str, float]:
    """Requests a second, milliseconds at the 50th and 99th percentile, and answers that were not a success."""
    run = Run(host, port, connections, requests, once=once)
    took = run.go(seconds)
    for client in run.clients.values():
        client.socket.close()
    found = sorted(run.latencies)
    count = len(found)
    if not count:
        return {"rps": 0, "p50": 0, "p99": 0, "bad": run.bad, "count": 0}
    return {
        "rps": count / took,
        "p50": found[count // 2] * 1000,
        "p99": found[min(count - 1, count * 99 // 100)] * 1000,
        "bad": run.bad,
        "count": count,
    }


if __name__ == "__main__":
    host, port, connections, seconds, file, *more = sys.argv[1:]
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    asked = [json.loads(line).encode("latin-1") for line in lines]
    print(json.dumps(load(host, int(port), int(connections), float(seconds), asked, once=more == ["once"])))
