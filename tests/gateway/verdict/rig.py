"""A small true identity service, users with tokens, and a verdict built from settings as the program builds it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from msgspec.structs import replace

from coffee_core.testing.cache import until
from coffee_core.wire.request_memory import KnownHeaders
from coffee_core.wire.service_statement import verify_service
from gateway.build import BuiltVerdict
from gateway.settings import GatewaySettings
from gateway.verdict.decision import Decision, Forward, Refused, RequestHead

SECRET = "verdict-tests-0123456789-abcdefghijklmnop"
KEY = "statement-tests-0123456789-qrstuvwxyz-AB"
IDS = itertools.count(secrets.randbelow(10**9) * 1000)


class Identity:
    """Speaks the contract of `gateway.verdict.identity` over HTTP, on a port of its own."""

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, Any]] = {}
        self.plans: dict[str, dict[str, Any]] = {}
        self.keys: list[dict[str, Any]] = []
        self.keys_of_gateway: tuple[str, ...] = (KEY,)
        self.asked: Counter[str] = Counter()
        self.status = 200
        self.open = asyncio.Event()
        self.open.set()
        self.url = ""

    @classmethod
    @contextlib.asynccontextmanager
    async def serve(cls) -> AsyncIterator[Identity]:
        identity = cls()
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    await identity.open.wait()
                    status, body = identity.answer(head.decode("latin-1"))
                    raw = json.dumps(body).encode()
                    writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(raw), raw))
                    await writer.drain()
            writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        identity.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield identity
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def answer(self, head: str) -> tuple[int, dict[str, Any]]:
        first, *rest = head.split("\r\n")
        path = urlsplit(first.split(" ")[1])
        headers = dict(line.split(": ", 1) for line in rest if line)
        self.asked[path.path + ("?" + path.query if path.query else "")] += 1
        if path.path == "/jwks":
            return self.status, {"keys": self.keys}
        if self.status != 200:
            return self.status, {}
        statement = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
        if (
            verify_service(statement.removeprefix("Bearer "), audience="identity", keys=self.keys_of_gateway)
            != "gateway"
        ):
            return 403, {}
        if path.path == "/identity-service/api/auth/verify":
            found = self.sessions.get(parse_qs(path.query)["sid"][0])
            return (200, {"data": [found]}) if found else (404, {})
        partner = path.path.split("/")[-2]
        return 200, {"data": [self.plans[partner]] if partner in self.plans else []}

    def times(self, sid: str) -> int:
        return self.asked[f"/identity-service/api/auth/verify?sid={sid}"]


class User:
    """Somebody with a session that identity knows."""

    def __init__(self, identity: Identity | None, plan: str | None = "PAID", **session: Any) -> None:
        number = next(IDS)
        self.partner = str(number)
        self.since = int(time.time())
        """Of his tokens: all that say the same are the same, whenever they are made."""
        self.sid = secrets.token_hex(16)
        self.session: dict[str, Any] = {
            "uid": number + 1,
            "accountId": number + 2,
            "partnerId": number,
            "exp": int(time.time()) + 3600,
        } | session
        if identity is not None:
            identity.sessions[self.sid] = self.session
            if plan is not None:
                identity.plans[self.partner] = {"type": plan, "until": None}

    def claims(self, **changed: Any) -> dict[str, Any]:
        session = self.session
        return {
            "uid": str(session["uid"]),
            "sid": self.sid,
            "userAccountId": str(session["accountId"]),
            "partnerId": self.partner,
            "iat": self.since,
            "exp": self.since + 3600,
        } | changed

    def token(self, **changed: Any) -> str:
        return jwt.encode(self.claims(**changed), SECRET, algorithm="HS256")

    def bearer(self, **changed: Any) -> tuple[bytes, bytes]:
        return (b"authorization", b"Bearer " + self.token(**changed).encode())


def settings(identity: Identity, redis_url: str | None, **changed: Any) -> GatewaySettings:
    fast: dict[str, Any] = {
        "jwt_secret": SECRET,
        "identity_signing_key": KEY,
        "saas_url": "http://127.0.0.1:7179",
        "saas_data_url": "http://127.0.0.1:7180",
        "identity_url": identity.url,
        "redis_url": redis_url,
        "canary_seconds": 0.05,
        "link_doubt_seconds": 10.0,  # a busy machine must not look like a broken link
        "redis_timeout_seconds": 0.3,
        "address_burst": 1_000_000,
        "partner_rate_free": 100_000,
        "partner_rate_paid": 100_000,
        "partner_rate_saas": 100_000,
    }
    return GatewaySettings(**(fast | changed))


@contextlib.asynccontextmanager
async def running(config: GatewaySettings) -> AsyncIterator[BuiltVerdict]:
    built = BuiltVerdict(config)
    await built.start()
    try:
        if built.link is not None:
            link = built.link
            await until(lambda: not link.in_doubt)
        yield built
    finally:
        await built.stop()


TARGET = b"/discovery-service/api/profile/1"


def request(
    target: bytes = TARGET,
    *headers: tuple[bytes, bytes],
    method: bytes = b"GET",
    peer: str = "203.0.113.9",
    scheme: bytes = b"http",
) -> RequestHead:
    return RequestHead(method, target, [(b"host", b"api.example.com"), *headers], peer, scheme)


def remembered(head: RequestHead) -> RequestHead:
    """The same where its headers came before: to decide about it once more is to be asked once more."""
    return replace(head, known=KnownHeaders(list(head.headers), b"api.example.com"))


async def decide(built: BuiltVerdict, head: RequestHead) -> Decision:
    decision = built.core.decide(head)
    return await decision if isinstance(decision, Awaitable) else decision


async def forwarded(built: BuiltVerdict, head: RequestHead) -> Forward:
    decision = await decide(built, head)
    assert isinstance(decision, Forward), decision
    return decision


async def refused(built: BuiltVerdict, head: RequestHead, status: int) -> Refused:
    decision = await decide(built, head)
    assert isinstance(decision, Refused), decision
    assert decision.status == status, decision
    return decision


def lines(forward: Forward) -> list[tuple[bytes, bytes]]:
    """The head as pairs; every line is whole."""
    assert forward.head.endswith(b"\r\n")
    return [(name, value) for name, _, value in (line.partition(b": ") for line in forward.head[:-2].split(b"\r\n"))]


def header(forward: Forward, name: bytes) -> bytes:
    (value,) = [value for found, value in lines(forward) if found == name]
    return value


def an_id() -> str:
    """One that no other test has: Redis remembers."""
    return str(next(IDS))


def an_address() -> str:
    """One that no other test has, as long as they are few."""
    number = next(IDS)
    return f"198.18.{number >> 8 & 255}.{number & 255}"
