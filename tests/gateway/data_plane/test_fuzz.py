"""Fuzzers on the parsers' seam, with llhttp as the second opinion: `COFFEE_TEST_FUZZ_SECONDS` says how long each runs.

What reaches an upstream is, as llhttp reads it, exactly what the verdict decided about; what reaches a client as a
whole answer is what llhttp reads of the upstream's bytes. The seed is printed; `COFFEE_TEST_FUZZ_SEED` repeats a run.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import time
from collections.abc import Iterator

import httptools
import pytest

from tests.support.data_plane_seam import Seam

SECONDS = float(os.environ.get("COFFEE_TEST_FUZZ_SECONDS", "8"))
SEED = int(os.environ.get("COFFEE_TEST_FUZZ_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
HIDDEN = b"GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n"
REQUESTS = [
    b"GET / HTTP/1.1\r\n",
    b"POST /p HTTP/1.1\r\n",
    b"HEAD /h HTTP/1.0\r\n",
    b"PUT http://a/u HTTP/1.1\r\n",
    b"host: a\r\n",
    b"Host:a\r\n",
    b"content-length: 5\r\n",
    b"Content-Length:0\r\n",
    b"content-length: 34\r\n",
    b"transfer-encoding: chunked\r\n",
    b"Transfer-Encoding:  chunked \r\n",
    b"transfer-encoding: identity\r\n",
    b"transfer-encoding\r\n",
    b" chunked\r\n",
    b"\tx\r\n",
    b"connection: close\r\n",
    b"connection: te, keep-alive\r\n",
    b"te: trailers\r\n",
    b"expect: 100-continue\r\n",
    b"upgrade: websocket\r\n",
    b"connection: upgrade\r\n",
    b"x: y\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"hello",
    b"5\r\nhello\r\n",
    b"5;a=b\r\nhello\r\n",
    b"0\r\n\r\n",
    b"0\r\nx: y\r\n\r\n",
    b"22\r\n",
    HIDDEN,
    b"\x00",
    b"\x0b",
    b":",
    b" ",
    b"\xff",
    b"ffffffffffffffff\r\n",
    b"0x5\r\n",
    b"+5\r\n",
]
ANSWERS = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 200 OK\r\n",
    b"HTTP/1.1 204 N\r\n",
    b"HTTP/1.1 304 N\r\n",
    b"HTTP/1.1 100 C\r\n\r\n",
    b"HTTP/1.1 103 E\r\nlink: x\r\n\r\n",
    b"HTTP/1.1 101 S\r\n",
    b"upgrade: websocket\r\nconnection: upgrade\r\n",
    b"content-length: 5\r\n",
    b"content-length: 0\r\n",
    b"Content-Length:  5 \r\n",
    b"transfer-encoding: chunked\r\n",
    b"transfer-encoding: gzip\r\n",
    b"connection: close\r\n",
    b"set-cookie: a=b\r\n",
    b"x: y\r\n",
    b" z\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"hello",
    b"5\r\nhello\r\n",
    b"5;x\r\nhello\r\n",
    b"0\r\n\r\n",
    b"0\r\na: b\r\n\r\n",
    b"8000000000000000\r\n",
    b"\x00",
    OK,
]


def pieces(rng: random.Random, words: list[bytes], start: bytes) -> list[bytes]:
    """Words that belong together, in an order that mostly does not, with a few bytes changed, cut anywhere."""
    data = bytearray(start + b"".join(rng.choices(words, k=rng.randrange(1, 14))))
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        if data:
            at = rng.randrange(len(data))
            data[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 1, 3))))
    edges = [0, *cuts, len(data)]
    return [bytes(data[a:b]) for a, b in itertools.pairwise(edges) if a < b]


def runs() -> Iterator[random.Random]:
    """Each with a seed of its own, until the time is over; at least a few."""
    print(f"COFFEE_TEST_FUZZ_SEED={SEED}")
    end, number = time.monotonic() + SECONDS, 0
    while number < 50 or time.monotonic() < end:
        yield random.Random(SEED + number)
        number += 1
    print(f"{number} runs")


def after_interim(said: bytes) -> bytes:
    """From the final answer on: llhttp takes an interim one for an answer of its own."""
    while said.startswith(b"HTTP/1.1 1"):
        assert b"\r\n\r\n" in said
        _, _, said = said.partition(b"\r\n\r\n")
    return said


class Heard:
    """What llhttp reads."""

    def __init__(self) -> None:
        self.messages: list[dict[str, list[tuple[bytes, bytes]] | bytes | bool]] = []

    def on_message_begin(self) -> None:
        self.messages.append({"headers": [], "url": b"", "body": b"", "complete": False})

    def on_url(self, url: bytes) -> None:
        self.messages[-1]["url"] = url

    def on_header(self, name: bytes, value: bytes) -> None:
        headers = self.messages[-1]["headers"]
        assert isinstance(headers, list)
        headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        before = self.messages[-1]["body"]
        assert isinstance(before, bytes)
        self.messages[-1]["body"] = before + body

    def on_message_complete(self) -> None:
        self.messages[-1]["complete"] = True


@pytest.mark.timeout(60 + int(SECONDS))
async def test_an_upstream_sees_the_decided_requests_and_no_others() -> None:
    for rng in runs():
        seam = Seam()
        start = rng.choice((b"", b"POST /x HTTP/1.1\r\nhost: a\r\n", b"GET /x HTTP/1.1\r\nhost: a\r\n"))
        for piece in pieces(rng, REQUESTS, start):
            seam.say(piece)
            while rng.random() < 0.8 and seam.answer(OK):
                pass
        while seam.answer(OK):
            pass
        seam.close()
        decided = seam.verdict.decided
        seen: set[int] = set()
        for _, wire in seam.upstreams:
            heard = Heard()
            parser = httptools.HttpRequestParser(heard)
            with contextlib.suppress(httptools.HttpParserUpgrade):
                parser.feed_data(bytes(wire.written))
            for message in heard.messages:
                headers = message["headers"]
                assert isinstance(headers, list)
                told = [int(value) for name, value in headers if name == b"x-decision"]
                if not told and not message["complete"] and message is heard.messages[-1]:
                    continue  # a head that has not come to its end
                (number,) = told
                assert number not in seen, f"seed {SEED}"
                seen.add(number)
                assert decided[number][1] == message["url"]


@pytest.mark.timeout(60 + int(SECONDS))
async def test_a_client_never_takes_half_an_answer_for_a_whole_one() -> None:
    for rng in runs():
        seam = Seam()
        seam.say(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
        sent = pieces(rng, ANSWERS, rng.choice((b"", b"HTTP/1.1 200 OK\r\n")))
        for piece in sent:
            seam.answer(piece)
        reset = rng.random() < 0.5
        seam.end_upstream(ConnectionResetError() if reset else None)
        ours, theirs = Heard(), Heard()
        said = after_interim(bytes(seam.wire.written))
        httptools.HttpResponseParser(ours).feed_data(said)  # what we say is HTTP, in any case
        answers = [message for message in ours.messages if message["complete"]]
        assert len(answers) <= 1, f"seed {SEED}"
        if not answers or said.startswith(b"HTTP/1.1 502"):
            continue
        assert seam.wire.gone != "reset"
        with contextlib.suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):  # of what came after
            httptools.HttpResponseParser(theirs).feed_data(b"".join(sent))
        whole = [message for message in theirs.messages if message["complete"]]
        bodies = {message["body"] for message in theirs.messages}
        assert answers[0]["body"] in bodies, f"seed {SEED}"
        assert whole or not reset, f"seed {SEED}"
