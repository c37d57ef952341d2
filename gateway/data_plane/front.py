"""The gateway's data plane: the front that takes clients, decides, and forwards."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence

from coffee_core.wire.connection import Connection
from coffee_core.wire.front import Listener as AnyListener
from coffee_core.wire.message import Handler
from coffee_core.wire.outbox import Outbox
from coffee_core.wire.request_memory import RequestMemory
from coffee_core.wire.server import HandlerFront
from coffee_core.wire.settings import WireSettings
from gateway.data_plane.access_log import AccessLog
from gateway.data_plane.cached_forwarding import Caching
from gateway.data_plane.client_side import GatewayConnection
from gateway.data_plane.forward_auth import Said
from gateway.data_plane.listener import Listener
from gateway.data_plane.metrics import Metrics
from gateway.data_plane.settings import DataPlaneSettings
from gateway.data_plane.spans import Spans
from gateway.data_plane.targets import Target
from gateway.data_plane.tls import ServerTls
from gateway.data_plane.trailers import Trailers
from gateway.data_plane.upstreams import Upstreams
from gateway.data_plane.verdict_stream import BESIDE, Questions
from gateway.verdict.decision import Forward, RequestHead, Verdict
from gateway.verdict.forwarding import TrustedProxies


class GatewayFront(HandlerFront):
    """One process of the gateway. `edge` answers what the verdict calls `Local`; a connection of `proxied` begins with
    the PROXY protocol."""

    def __init__(
        self,
        verdict: Verdict,
        edge: Handler,
        targets: Mapping[str, Sequence[Target]],
        *,
        settings: WireSettings,
        upstream: DataPlaneSettings,
        log: AccessLog,
        metrics: Metrics,
        tls: ServerTls | None = None,
        proxied: TrustedProxies | None = None,
        spans: Spans | None = None,
        forward_auth: Callable[[RequestHead], Said | Awaitable[Said]] | None = None,
        streams_from: TrustedProxies | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        super().__init__(edge, settings)
        self.outbox = outbox = Outbox() if outbox is None else outbox
        if settings.known_heads:
            self.heads = RequestMemory(settings.known_heads)
        self.forward_auth = forward_auth
        """Answers the route `verdict` instead of verdict and edge, at once if it can."""
        self.questions = None if streams_from is None else Questions(self, streams_from)
        """Of proxies that ask about many requests over one connection."""
        self.scheme = b"http" if tls is None else b"https"
        self.opening: set[asyncio.Task[None]] = set()
        """Connections that a handshake or a proxy's header keeps from being clients."""
        self.trailers = Trailers()
        self.caching: Caching | None = None
        """`None`: no route asks for it."""
        if upstream.cache_routes:
            self.caching = Caching(
                upstream.cache_routes, self, most=upstream.cache_bytes, largest=upstream.cache_answer_bytes
            )
        self.refused = 0
        """Connections that did not become clients."""
        self._tls = tls
        self._proxied = proxied or TrustedProxies(())
        self.verdict = verdict
        self.upgrades = upstream.upgrades
        self.upstreams = Upstreams(upstream, self, targets, outbox)
        self.groups = self.upstreams.groups
        self.log = log
        self.metrics = metrics
        self.spans = spans
        """`None`: traces are off."""

    def connection(self) -> Connection:
        """A client."""
        return GatewayConnection(self)

    def _beside(self) -> Connection:
        """A client on this machine, by a socket file."""
        client = self.connection()
        client.peer = BESIDE
        return client

    def swept(self, now: float) -> None:
        """Of the front: idle connections age, the log goes out, heads with tokens in them are forgotten."""
        super().swept(now)
        if self.questions is not None:
            self.questions.swept(now)
        self.upstreams.sweep(now)
        if self._tls is not None:
            self._tls.sweep(now)
        self.log.flush()

    async def listen(self, sock: socket.socket) -> AnyListener:
        """Of the front."""
        if sock.family == socket.AF_UNIX:
            loop = asyncio.get_running_loop()
            return await loop.create_unix_server(self._beside, sock=sock, backlog=self.settings.backlog)
        if self._tls is None and not self._proxied.any:
            return await super().listen(sock)
        listener = Listener(self, sock, self._proxied, self._tls)
        listener.start()
        return listener

    def opened(self, task: asyncio.Task[None]) -> None:
        """A connection is a client now, or gone."""
        self.opening.discard(task)
        self.settled()

    def unfinished(self) -> bool:
        """Of the front."""
        return super().unfinished() or bool(self.opening)

    def hurry(self) -> None:
        """Of the front."""
        for task in list(self.opening):
            task.cancel()
        super().hurry()

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Of the front."""
        await super().start(sockets)
        self.upstreams.start()

    async def drain(self) -> None:
        """Of the front."""
        try:
            await super().drain()
        finally:
            await self.upstreams.stop()
            await self.log.close()

    def observe(self, client: GatewayConnection, status: int, ending: bytes) -> None:
        """A request has ended: one line in the log, one count in the metrics."""
        decision = client.decision
        if isinstance(decision, Forward):
            seconds = self.log.forwarded(client, decision, status, ending)
            passage = decision.passage
            self.metrics.observe(passage.route, passage.plan, status, seconds, client.sent)
        else:
            seconds = self.log.own(client, status, ending)
            self.metrics.observe("undecided" if decision is None else decision.route, b"", status, seconds, client.sent)
        if self.spans is not None:
            self.spans.record(client, status, seconds)

    def observe_unread(self, client: GatewayConnection, status: int) -> None:
        """What came was no request."""
        self.log.unread(client, status)
        self.metrics.observe("unread", b"", status, 0.0, 0)
