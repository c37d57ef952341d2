"""One client of the gateway: each request is decided, and then forwarded, refused, or answered by the edge."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from coffee_core.wire.connection import Connection
from coffee_core.wire.errors import WireError
from coffee_core.wire.head import RequestHead as WireHead
from coffee_core.wire.message import Body, BufferedBody, Request, Response
from coffee_core.wire.phases import BODY, BUSY
from coffee_core.wire.server import HandlerConnection
from gateway.data_plane.forward_auth import BEHIND, Allowed, NotAllowed, Said
from gateway.data_plane.forwarding import Forwarding, clock
from gateway.data_plane.local import for_the_edge
from gateway.data_plane.own_answers import answered, own_problem, refused
from gateway.data_plane.verdict_stream import ROUTE, UPGRADE, VerdictStream
from gateway.verdict.decision import Answered, Decision, Forward, Local, Refused, RequestHead
from gateway.verdict.headers import new_request_id
from gateway.verdict.pending import Pending

if TYPE_CHECKING:
    from gateway.data_plane.cached_forwarding import Waiting
    from gateway.data_plane.front import GatewayFront

log: Final = logging.getLogger("gateway.data_plane")

ASKED: Final = BEHIND[:-1]
"""Its path."""

COMPLETE, CUT, LEFT = b"complete", b"cut", b"left"
"""How an answer ended, in the log: whole; broken off because it could not be finished; its client has gone."""

NOTHING_MORE: Final = b"content-length: 0\r\n\r\n"

CLIENT_LEFT: Final = 499
"""What the log says of a request whose client did not wait for its answer, as nginx does."""


class GatewayConnection(HandlerConnection):
    """Asks the verdict for each request. What the base class does for a handler serves the edge application."""

    __slots__ = ("_deciding", "_kept", "began", "decision", "forwarding", "gateway", "sent", "status")

    def __init__(self, front: GatewayFront) -> None:
        super().__init__(front)
        self.gateway = front
        self.decision: Decision | None = None
        self.forwarding: Forwarding | Waiting | VerdictStream | None = None
        self.began = 0.0
        self.status = 0
        self.sent = 0
        self._deciding: Pending[Decision | Said] | asyncio.Future[Decision | Said] | None = None
        self._kept: list[bytes] = []

    # requests

    def request_received(self, head: WireHead) -> None:
        """Of the wire."""
        self.began = clock()
        self.status = self.sent = 0
        self.decision = None
        if self._kept:
            self._kept = []  # of a request that did not pass: nothing of it may be part of this one
        if head.target.startswith(ASKED) and self._is_question(head):
            self._ask_for_proxy()
            return
        decision = self.gateway.verdict.decide(
            RequestHead(head.method, head.target, head.headers, self.peer, self.gateway.scheme, head.known)
        )
        if isinstance(decision, Forward):
            self.decision = decision
            self._forward(decision)
            return
        if isinstance(decision, (Refused, Answered, Local)):
            self._follow(decision)
            return
        if self.phase == BODY:
            self.pause()
        self._wait_for(decision)

    def flush(self) -> None:
        """Of the wire. What one read brought of a request leaves as one write."""
        if self.forwarding is not None:
            self.forwarding.flush()

    def whole_received(self, body: bytes) -> bool:  # noqa: ARG002 - of the wire
        """Of the wire. The decision may need more time than the body: they are handed over apart."""
        return False

    def body_received(self, data: bytes) -> None:
        """Of the wire."""
        if self.forwarding is not None:
            self.forwarding.body(data)
            self.gathered = True
        elif self._deciding is not None:
            self._kept.append(data)
        else:
            super().body_received(data)

    def body_complete(self) -> None:
        """Of the wire."""
        if self.forwarding is not None:
            self.forwarding.body_complete()
            self.gathered = True
        elif self._deciding is None:
            super().body_complete()

    # answers

    def finish_answer(self) -> None:
        """Of the wire: the answer is complete."""
        self.gateway.observe(self, self.status, COMPLETE)
        self.forwarding = None
        Connection.finish_answer(self)  # by name: `super()` costs an object, and this runs for every request

    def fail(self, status: int, detail: str, *, retry_after: int = 1) -> None:
        """The upstream gave no answer that could be passed on. `retry_after`, in seconds, goes with a 503."""
        self.forwarding = None
        self._answer_now(own_problem(status, detail, self._request_id(), self._path(), retry_after=retry_after))

    def break_off(self) -> None:
        """Of the server, and of a forwarding: an answer that has begun cannot be finished."""
        self.forwarding = None
        self.gateway.observe(self, self.status, CUT)
        self.cut()

    def end_tunnel(self, *, linger: bool = False) -> None:
        """The other end has left it: the client gets what it said, and the end. `linger`: as when closing."""
        self.forwarding = None
        self.gateway.observe(self, self.status, COMPLETE)
        self.close(linger=linger)

    def wait_for(self, waiting: Waiting) -> None:
        """Of the cache: an equal request is under way."""
        self.forwarding = waiting

    def forward_again(self, decision: Forward) -> None:
        """Of the cache: the answer that was waited for is of no use."""
        self.forwarding = None
        self._forward(decision)

    def answer_kept(self, status: int, lines: bytes, body: bytes) -> None:
        """Of the cache: an answer that is here, as status line and headers without framing, and body."""
        self.status = status
        self.sent = len(body)
        keep_alive = self.start_answer()
        framing = b"" if status == 304 else b"content-length: %d\r\n" % len(body)
        end = b"\r\n" if keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(b"%b%b%b%b" % (lines, framing, end, body))
        self.finish_answer()

    def abandon(self) -> None:
        """Of the wire: whatever is going on for this request ends."""
        if self._deciding is not None:
            self._deciding.cancel()
            self._deciding = None
        if self.forwarding is not None:
            self.forwarding.abandon()
            self.forwarding = None
        super().abandon()
        self.gateway.observe(self, self.status or CLIENT_LEFT, LEFT)

    def refuse(self, error: WireError) -> None:
        """Of the wire."""
        if self.phase in {BODY, BUSY}:
            if not self.answering:
                self.status = error.status
        else:
            self.gateway.observe_unread(self, error.status)
        super().refuse(error)

    # the edge application

    def request(self, head: WireHead, body: Body) -> Request:
        """Of the server."""
        assert isinstance(self.decision, Local)
        return for_the_edge(super().request(head, body), self.decision)

    async def handle(self, request: Request) -> Response:
        """Of the server."""
        self.status = 500  # unless it answers
        response = await super().handle(request)
        self.status = response.status
        self.sent = len(response.body)
        response.headers.append((b"x-bb-requestid", self._request_id()))
        return response

    # back-pressure, time-outs and tunnels

    def writing_paused(self) -> None:
        """Of the wire."""
        if self.forwarding is not None:
            self.forwarding.client_full()

    def writing_resumed(self) -> None:
        """Of the wire."""
        if self.forwarding is not None:
            self.forwarding.client_free()
        super().writing_resumed()

    def sweep(self, now: float) -> None:
        """Of the wire."""
        super().sweep(now)
        if self.forwarding is not None:
            self.forwarding.sweep(now)

    def tunnel_received(self, data: bytes) -> None:
        """Of the wire."""
        if self.forwarding is not None:
            self.forwarding.tunnel_received(data)

    def tunnel_ended(self) -> None:
        """Of the wire."""
        if self.forwarding is not None:
            self.forwarding.tunnel_ended()

    # decisions

    def _wait_for(self, decision: Awaitable[Decision | Said]) -> None:
        """Mostly it is a pending one, and this takes no task."""
        self._kept = []
        if isinstance(decision, Pending):
            self._deciding = decision
            decision.then(self._decided)
        else:
            self._deciding = deciding = asyncio.ensure_future(decision)
            deciding.add_done_callback(self._done)

    def _done(self, deciding: asyncio.Future[Decision | Said]) -> None:
        if self._deciding is not deciding:
            return  # this request has ended
        if deciding.cancelled():
            self._decided(asyncio.CancelledError())
        else:
            self._decided(deciding.exception() or deciding.result())

    def _decided(self, outcome: Decision | Said | BaseException) -> None:
        self._deciding = None
        try:
            self.resume()
            if isinstance(outcome, Forward):
                self.decision = outcome
                self._forward(outcome)
            elif isinstance(outcome, (Allowed, NotAllowed)):
                self._say(outcome)
            elif isinstance(outcome, BaseException):
                self._undecided(outcome)
            else:
                self._follow(outcome)
        except WireError as error:
            self.refuse(error)
        except Exception:  # as in `data_received`: whoever tells has others to tell
            log.exception("a connection failed")
            self.refuse(WireError(500, "something went wrong here"))

    def _undecided(self, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):  # not by us: nobody will answer any more
            self.kill()
            return
        # the verdict never raises for what a caller sent: this is one of ours
        log.error("a decision failed", exc_info=error)
        self._answer_now(own_problem(500, "something went wrong here", b"", self._path()))

    def _follow(self, decision: Decision) -> None:
        self.decision = decision
        if isinstance(decision, Forward):
            self._forward(decision)
        elif isinstance(decision, Local):
            self._serve_locally()
        elif isinstance(decision, Refused):
            self._answer_now(refused(decision, self._path()))
        else:
            self._answer_now(answered(decision))

    def _forward(self, decision: Forward) -> None:
        gateway = self.gateway
        upstream = gateway.groups.get(decision.passage.upstream)
        if upstream is None:
            log.error(
                "the route %s names the upstream %s, which has no targets", decision.route, decision.passage.upstream
            )
            self.fail(503, "the service is not available")
            return
        if upstream.canary is not None:
            upstream = upstream.canary.choose(upstream, decision, self.head)
        forward: Callable[..., Forwarding] = Forwarding
        caching = gateway.caching
        if caching is not None and decision.route in caching.routes:
            asking = caching.take_up(self, decision, upstream)
            if asking is None:
                return
            forward = asking.forward
        breaker = upstream.breaker
        if breaker.closed:
            forwarding = forward(self, decision, upstream)
        elif breaker.admit():
            forwarding = forward(self, decision, upstream, True)  # a probe
        else:
            self.fail(503, "the service is failing and is given a rest", retry_after=breaker.retry_after)
            return
        sent = forwarding.start()
        self.forwarding = forwarding
        if not sent:
            self._send_what_came(forwarding)

    def _send_what_came(self, forwarding: Forwarding) -> None:
        """Of a body that came with its head, or while the decision was waited for."""
        if self._kept:
            for piece in self._kept:
                forwarding.body(piece)
            self._kept = []
        if not forwarding.request_complete and self.phase != BODY:
            forwarding.body_complete()
        if self.advancing:
            self.gathered = not forwarding.request_complete
        else:
            forwarding.flush()

    def _serve_locally(self) -> None:
        early, self._kept = self._kept, []
        if self.phase == BODY:
            super().request_received(self.head)
            for piece in early:
                super().body_received(piece)
        elif self.gateway.forward_auth is not None and self._route() == ROUTE:
            self._ask_for_proxy()
        else:
            self.start(BufferedBody(b"".join(early)))

    # forward auth

    def _is_question(self, head: WireHead) -> bool:
        """Whether this can only be a proxy that asks for a verdict. That one is the decision, and the only one; every
        other spelling, and what a browser asks beforehand, is decided about first, like all else."""
        end = head.target[len(ASKED) : len(BEHIND)]
        asked = end in {b"", b"/", b"?"} and self.phase != BODY and head.method != b"OPTIONS"
        return asked and self.gateway.forward_auth is not None

    def _ask_for_proxy(self) -> None:
        """Most verdicts are known: they need no task."""
        assert self.gateway.forward_auth is not None
        head, questions = self.head, self.gateway.questions
        if (
            head.upgrade
            and head.upgrade.lower() == UPGRADE
            and head.target == ASKED
            and head.method == b"GET"
            and questions is not None
            and questions.may_open(self.peer, head)
        ):
            self.decision = Local(new_request_id(), ROUTE)
            self.forwarding = stream = VerdictStream(self, questions)
            stream.open()
            return
        said = self.gateway.forward_auth(
            RequestHead(head.method, head.target, head.headers, self.peer, self.gateway.scheme, head.known)
        )
        if isinstance(said, (Allowed, NotAllowed)):
            self._say(said)
        else:
            self._wait_for(said)

    def _say(self, said: Said) -> None:
        self.decision = Local(said.request_id, ROUTE)
        if isinstance(said, NotAllowed):
            self._answer_now(said.response)
        else:
            self.status = 200
            end = NOTHING_MORE if self.start_answer() else NOTHING_MORE[:-2] + b"connection: close\r\n\r\n"
            self.transport.write(b"HTTP/1.1 200 OK\r\ndate: %b\r\n%b%b" % (self.front.date, said.lines, end))
            self.finish_answer()

    def _answer_now(self, response: Response) -> None:
        self._kept = []
        self.status = response.status
        self.sent = len(response.body)
        self.send_response(response)
        self.finish_answer()

    def _request_id(self) -> bytes:
        return self.decision.request_id if self.decision is not None else b""

    def _route(self) -> str:
        return self.decision.route if self.decision is not None else ""

    def _path(self) -> bytes:
        return self.head.target.partition(b"?")[0]
