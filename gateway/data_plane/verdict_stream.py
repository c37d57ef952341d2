"""Verdicts over one connection: a proxy asks about many requests at a time, and hears about each as it is decided.

`GET /_gateway/verdict` with `Connection: upgrade` and `Upgrade: coffee-verdicts` opens it, for those that may ask; the
answer names the process in `x-bb-process`, as a proxy has no use for two streams to one. From then on both sides send
frames; numbers are in network byte order, and a length counts what follows it:

    question   length u32, number u32, scheme u8 (0 http, 1 https), length of the peer u8, peer, head
    answer     length u32, number u32, status u16, lengths of id, lines, caller and target u16 each,
               lines, caller, target, rest

The peer is the address that opened the connection to the proxy, the head that of the request as it came, from its
request line to the empty line. Answers come in any order. Lines are whole header lines, and the first of them says the
request's id. Status 0 lets the request through, 1 as well but without the upgrade that it asks for: the lines are for
the caller's answer, the caller is three texts with a tab between them (partner, uid, plan), the target is upstream and
path in the place of the one that came, and the rest is the lines to send on, of which the last one says the id again.
Any other status is the answer itself: its lines, and its body as the rest. A question without anything behind its
number is answered by the same: whoever asks finds out whether somebody is there, and shows that he is. A stream over
which nothing comes for the idle time-out of clients ends.

What is decided about and what is sent on cannot differ, however the proxy reads a request: it sends on what it is told.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import struct
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

from coffee_core.wire.errors import WireError
from coffee_core.wire.head import RequestHead as WireHead
from coffee_core.wire.head import known_request, read_request_head
from coffee_core.wire.request_memory import RequestMemory
from coffee_core.wire.server import REMEMBERS
from gateway.data_plane.forwarding import clock
from gateway.data_plane.own_answers import answered, own_problem, refused
from gateway.verdict.decision import Answered, Decision, Forward, Local, Passage, Refused, RequestHead
from gateway.verdict.forwarding import TrustedProxies
from gateway.verdict.headers import new_request_id
from gateway.verdict.pending import Pending

if TYPE_CHECKING:
    from coffee_core.wire.message import Response
    from gateway.data_plane.client_side import GatewayConnection
    from gateway.data_plane.front import GatewayFront

log: Final = logging.getLogger("gateway.data_plane")

UPGRADE: Final = b"coffee-verdicts"
"""The protocol's name."""
ROUTE: Final = "verdict"
"""Of forward auth, in this way or another."""
BESIDE: Final = "127.0.0.1"
"""Of who came by a socket file, for trust, limits and the log."""
PASSED_ON: Final = frozenset((b"forwarded", b"via", b"x-forwarded-for", b"x-real-ip"))
"""Headers of a request that a proxy has sent on."""
SCHEMES: Final = (b"http", b"https")
LONGEST: Final = 128 * 1024
"""Bytes of a question; a head has a quarter of that at most."""
PEERS: Final = 4096
"""Addresses that are remembered as such."""

_OPENED: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: %b\r\nx-bb-process: %%d\r\n\r\n" % UPGRADE
)
_MARKED: Final = re.compile(rb"(?<!\r)\n( *\r\n)(?=.)", re.DOTALL).sub
"""nginx marks where a value ends, and gives Lua a line feed for the first space behind it. Where such a mark
could be what came, at the head's end, it is none."""
_question: Final = struct.Struct(">II").unpack_from
_answer: Final = struct.Struct(">IIHHHHH").pack
_BEHIND_LENGTH: Final = 14
"""Bytes of an answer's beginning that its length counts."""
PASSES, UNCHANGED = 0, 1
"""Statuses of what is let through: as it is, or without the upgrade that it asks for."""
REFUSED: Final = b"no upgrade"
UPGRADED: Final = b"connection: upgrade\r\nupgrade: websocket\r\n"
"""Lines of the hop, of the one protocol that a proxy's connection may be upgraded to."""


class _Asked(NamedTuple):
    """A question, for what is recorded of it."""

    head: RequestHead
    decision: Decision | None


class Questions:
    """What the streams of one front have in common. `asked_from`: who may open one."""

    def __init__(self, front: GatewayFront, asked_from: TrustedProxies) -> None:
        self.front = front
        self.asked_from = asked_from
        known = front.settings.known_heads
        self.heads = [RequestMemory(known) if known else None for _ in SCHEMES]
        """One for each scheme: what is kept beside a head says how the request came."""
        self._remembers_since = 0.0
        self.peers: dict[bytes, str] = {}
        """Those that were told before: look there first."""

    def may_open(self, peer: str, head: WireHead) -> bool:
        """Whether this is the proxy itself, and nobody whose request it has passed on: he could say who he is."""
        return peer in self.asked_from and not any(name in PASSED_ON for name, _ in head.headers)

    def swept(self, now: float) -> None:
        """What stands in heads may be a secret: it is forgotten, as that of other clients is."""
        if now - self._remembers_since > REMEMBERS:
            self._remembers_since = now
            for heads in self.heads:
                if heads is not None:
                    heads.forget()

    def peer(self, text: bytes) -> str:
        """The address of this spelling; `ValueError` if it is none."""
        address = text.partition(b"%")[0]  # a zone is of the proxy's machine, and may be any bytes
        peer = BESIDE if text == b"unix:" else str(ip_address(address.decode("ascii")))
        if len(self.peers) >= PEERS:
            self.peers.clear()
        self.peers[text] = peer
        return peer


class VerdictStream:
    """One of them: in the connection's hand instead of a `Forwarding`."""

    request_complete = True
    sent_at = 0.0
    answered_at = 0.0

    def __init__(self, client: GatewayConnection, questions: Questions) -> None:
        self._client = client
        self._questions = questions
        self._front = front = questions.front
        self._lines, self._decide = front.lines, front.verdict.decide
        self._max_head, self._max_line, self._max_headers = front.max_head, front.max_request_line, front.max_headers
        self._heads, self._known_peers = questions.heads, questions.peers
        self._passed = 0
        """Of one read: those that were let through at once."""
        self._partial = b""
        self._heard = front.now
        self._waiting: dict[int, Pending[Decision] | asyncio.Future[Decision]] = {}

    def open(self) -> None:
        """Answer the upgrade."""
        client = self._client
        client.status = 101
        client.start_answer()
        client.transport.write(_OPENED % os.getpid())
        client.start_tunnel()

    # of the connection

    def body(self, data: bytes) -> None:
        """There is none."""

    def body_complete(self) -> None:
        """There is none."""

    def flush(self) -> None:
        """Nothing is kept back."""

    def abandon(self) -> None:
        """The proxy has gone."""
        for deciding in self._waiting.values():
            deciding.cancel()
        self._waiting.clear()

    def tunnel_ended(self) -> None:
        """It asks no more."""
        self.abandon()
        self._client.end_tunnel()

    def client_full(self) -> None:
        """It does not read its answers: it may not ask on."""
        self._client.pause()

    def client_free(self) -> None:
        """It has caught up."""
        self._client.resume()

    def sweep(self, now: float) -> None:
        """While draining it ends as soon as nothing is waited for; what is asked meanwhile is asked elsewhere. A proxy
        that says nothing for as long as a client may has gone without a word."""
        if (self._front.draining and not self._waiting) or now - self._heard > self._front.settings.idle_timeout:
            self.abandon()
            self._client.end_tunnel(linger=True)

    def tunnel_received(self, data: bytes) -> None:
        """Questions. What can be decided at once is answered in one write."""
        if self._partial:
            data = self._partial + data
        self._heard = self._front.now
        began = clock()
        at, end = 0, len(data)
        answers: list[bytes] = []
        self._passed = 0
        try:
            while end - at >= 8:
                length, number = _question(data, at)
                if not 4 <= length <= LONGEST:
                    raise ValueError(f"a question of {length} bytes")
                upto = at + 4 + length
                if upto > end:
                    break
                if length == 4:
                    answers.append(data[at:upto])
                else:
                    answer = self._answer(number, data, at + 8, upto)
                    if answer is not None:
                        answers.append(answer)
                at = upto
        except (ValueError, IndexError) as error:
            log.warning("a proxy that asks for verdicts does not keep to the protocol: %s", error)
            self._client.kill()
            return
        self._partial = data[at:]
        if answers:
            self._client.transport.write(answers[0] if len(answers) == 1 else b"".join(answers))
        if self._passed:
            self._front.metrics.observe_alike(ROUTE, b"", 200, self._passed, clock() - began)

    # questions

    def _answer(self, number: int, data: bytes, start: int, end: int) -> bytes | None:
        """The answer, if it is known at once. `ValueError` or `IndexError`: this is no question."""
        scheme, begins = data[start], start + 2 + data[start + 1]
        if begins > end:
            raise ValueError("a peer that ends behind its question")
        if number in self._waiting:
            raise ValueError(f"the number {number} is that of another question")
        told = data[start + 2 : begins]
        peer = self._known_peers.get(told) or self._questions.peer(told)
        heads = self._heads[scheme]
        upgrade = b""
        known = None
        if heads is not None and end - begins <= self._max_head:
            known = known_request(data, begins, end, self._max_line, heads)
        if known is not None:
            method, target, headers = known
            head = RequestHead(method, target, headers.headers, peer, SCHEMES[scheme], headers)
        else:
            try:
                read = self._read(data[begins:end], heads)
            except WireError as error:
                return self._own(number, own_problem(error.status, error.detail, new_request_id(), b""))
            head = RequestHead(read.method, read.target, read.headers, peer, SCHEMES[scheme], read.known)
            wanted = read.upgrade.lower() == b"websocket" and not read.length and not read.chunked
            if wanted and "websocket" in self._front.upgrades:
                upgrade = UPGRADED
            elif any(name == b"upgrade" for name, _ in read.headers):
                upgrade = REFUSED
        try:
            decision = self._decide(head)
        except Exception:  # the verdict never raises for what a caller sent: this is a fault of ours
            log.exception("a decision failed")
            return self._failed(number, head)
        if isinstance(decision, Forward):
            self._passed += 1
            if self._front.spans is not None:
                self._record(head, decision, 200, 0.0)
            return self._passing(number, decision, upgrade)
        if isinstance(decision, (Refused, Answered, Local)):
            return self._said(number, head, decision)
        self._wait_for(number, head, upgrade, decision)
        return None

    def _passing(self, number: int, forward: Forward, upgrade: bytes) -> bytes:
        """Let it through. `upgrade`: lines of the hop."""
        passage, target, lines = forward.passage, forward.target, forward.answer_head
        upstream, caller = passage.told or _told(passage)
        status = PASSES
        if upgrade is REFUSED:
            status, upgrade = UNCHANGED, b""
        rest = b"".join((lines, caller, upstream, target, upgrade, forward.head))
        bytes_of_id, bytes_of_target = len(forward.request_id), len(upstream) + len(target)
        length = _BEHIND_LENGTH + len(rest)
        return _answer(length, number, status, bytes_of_id, len(lines), len(caller), bytes_of_target) + rest

    def _read(self, block: bytes, heads: RequestMemory | None) -> WireHead:
        if len(block) > self._max_head:
            raise WireError(431, f"the request's head has more than {self._max_head} bytes")
        if not block.endswith(b"\r\n\r\n"):  # an empty line before that is no header line
            raise WireError(400, "the request's head does not end in an empty line")
        try:
            return read_request_head(block, self._lines, self._max_line, self._max_headers, heads)
        except WireError:
            mended = _MARKED(rb" \1", block)
            if mended == block:
                raise
            return read_request_head(mended, self._lines, self._max_line, self._max_headers, heads)

    def _wait_for(self, number: int, head: RequestHead, upgrade: bytes, decision: Awaitable[Decision]) -> None:
        decided = partial(self._decided, number, head, upgrade, clock())
        if isinstance(decision, Pending):
            self._waiting[number] = decision
            decision.then(decided)
        else:
            self._waiting[number] = deciding = asyncio.ensure_future(decision)
            deciding.add_done_callback(partial(_done, decided))

    def _decided(
        self, number: int, head: RequestHead, upgrade: bytes, began: float, outcome: Decision | BaseException
    ) -> None:
        if self._waiting.pop(number, None) is None:
            return  # the proxy has gone
        if isinstance(outcome, Forward):
            seconds = clock() - began
            self._front.metrics.observe(ROUTE, b"", 200, seconds, 0)
            self._record(head, outcome, 200, seconds)
            answer = self._passing(number, outcome, upgrade)
        elif isinstance(outcome, BaseException):
            log.error("a decision failed", exc_info=outcome)
            answer = self._failed(number, head, clock() - began)
        else:
            answer = self._said(number, head, outcome, clock() - began)
        self._client.transport.write(answer)

    def _said(
        self, number: int, head: RequestHead, decision: Refused | Answered | Local, seconds: float = 0.0
    ) -> bytes:
        if isinstance(decision, Local):
            decision = Refused(404, "Not Found", "nothing is here for a proxy", [], decision.request_id, ROUTE)
        path = head.target.partition(b"?")[0]
        response = refused(decision, path) if isinstance(decision, Refused) else answered(decision)
        return self._own(number, response, seconds, head, decision)

    def _failed(self, number: int, head: RequestHead, seconds: float = 0.0) -> bytes:
        path = head.target.partition(b"?")[0]
        problem = own_problem(500, "something went wrong here", new_request_id(), path)
        return self._own(number, problem, seconds)

    def _record(self, head: RequestHead, decision: Decision, status: int, seconds: float) -> None:
        spans = self._front.spans
        if spans is not None:
            spans.record(_Asked(head, Local(decision.request_id, ROUTE)), status, seconds)

    def _own(
        self,
        number: int,
        response: Response,
        seconds: float = 0.0,
        head: RequestHead | None = None,
        decision: Decision | None = None,
    ) -> bytes:
        """An answer of the gateway's own."""
        front = self._front
        front.metrics.observe(ROUTE, b"", response.status, seconds, 0)
        if head is not None and decision is not None:
            self._record(head, decision, response.status, seconds)
        headers = response.headers
        if response.content_type:
            headers = [(b"content-type", response.content_type), (b"cache-control", b"no-store"), *headers]
        request_id = b"".join([value for name, value in headers if name == b"x-bb-requestid"])
        lines = b"".join([b"%b: %b\r\n" % pair for pair in headers if pair[0] != b"x-bb-requestid"])
        lines = b"x-bb-requestid: %b\r\n%b" % (request_id, lines)
        rest = lines + response.body
        length = _BEHIND_LENGTH + len(rest)
        return _answer(length, number, response.status, len(request_id), len(lines), 0, 0) + rest


def _done(decided: Callable[[Decision | BaseException], None], deciding: asyncio.Future[Decision]) -> None:
    if deciding.cancelled():
        decided(asyncio.CancelledError())
    else:
        decided(deciding.exception() or deciding.result())


def _told(passage: Passage) -> tuple[bytes, bytes]:
    """What a proxy is told of all requests of a passage: where they go, and who it was, for its log."""
    passage.told = told = passage.upstream.encode(), b"\t".join((passage.partner, passage.uid, passage.plan))
    return told
