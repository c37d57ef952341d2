"""The application over ASGI: through test clients, and a real uvicorn."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from coffee_core.http.application import Application
from coffee_core.persistence.unit_of_work import current_work
from coffee_core.wire.message import Request, Response
from tests.coffee_core.http.rig import Store, application, hello, route
from tests.support.raw_http import RawClient, until

HEADERS = {"x-bb-partner-id": "7"}


async def echo(asked: Request) -> Response:
    return Response(200, await asked.body.read(1_000_000), content_type=b"text/plain")


async def echo_stream(asked: Request) -> Response:
    return Response(200, stream=asked.body.chunks(1_000_000), content_type=b"text/plain")


async def counts(_: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d\n" % number

    return Response(200, stream=chunks(), content_type=b"text/plain")


async def breaks_off(_: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"1"
        raise ZeroDivisionError

    return Response(200, stream=chunks(), content_type=b"text/plain")


def an_application() -> Application:
    return application(
        route(hello),
        route(echo, method="POST"),
        route(echo_stream, "/api/stream", method="POST"),
        route(counts, "/api/counts"),
        route(breaks_off, "/api/breaks"),
        route(hello, "/api/thing/{name}"),
    )


@asynccontextmanager
async def in_process(app: Application) -> AsyncIterator[httpx2.AsyncClient]:
    """Through httpx2's ASGI transport."""
    transport = httpx2.ASGITransport(app=app.asgi())
    async with httpx2.AsyncClient(transport=transport, base_url="http://test/thing-service", headers=HEADERS) as client:
        yield client


@asynccontextmanager
async def on_uvicorn(app: Application) -> AsyncIterator[httpx2.AsyncClient]:
    """Over a socket, served by uvicorn with its lifespan."""
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    config = uvicorn.Config(app.asgi(), log_config=None, lifespan="on", http="httptools", ws="none")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve([sock]))  # serve() would take over the process's signal handlers
    await until(lambda: server.started or serving.done(), "uvicorn has started")
    try:
        base = f"http://127.0.0.1:{port}/thing-service"
        async with httpx2.AsyncClient(base_url=base, headers=HEADERS) as client:
            yield client
    finally:
        server.should_exit = True
        await serving
        sock.close()


@pytest.mark.parametrize("server", [in_process, on_uvicorn])
async def test_every_server_serves_the_same(server: Any) -> None:
    async with server(an_application()) as client:
        got = await client.get("/api/thing")
        assert (got.status_code, got.json()) == (200, {"hello": "there"})
        assert got.headers["content-length"] == str(len(got.content))
        assert "x-bb-requestid" in got.headers
        head = await client.head("/api/thing")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == got.headers["content-length"]
        assert (await client.post("/api/thing", content=b"x" * 200_000)).content == b"x" * 200_000
        assert (await client.get("/api/counts")).text == "0\n1\n2\n"
        assert (await client.options("/api/thing")).headers["allow"] == "GET, HEAD, OPTIONS, POST"
        missing = await client.get("/api/nothing")
        assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
        assert (await client.get("/api/thing", headers={"x-bb-partner-id": "x"})).status_code == 400
        assert (
            await client.get("http://test/health/startup" if server is in_process else "/../health/startup")
        ).status_code == 200


@pytest.mark.parametrize("server", [in_process, on_uvicorn])
async def test_bodies_stream_both_ways(server: Any) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"y" * 10_000

    async with server(an_application()) as client:
        assert (await client.post("/api/stream", content=pieces())).content == b"y" * 200_000


async def test_a_body_over_the_bound_is_413() -> None:
    async with in_process(an_application()) as client:
        assert (await client.post("/api/thing", content=b"x" * 1_000_001)).status_code == 413


@pytest.mark.parametrize("path", ["/api/thing/%2e%2e", "/api/thing/a%2Fb", "/api/thing/%00", "/api//thing", "/api/%zz"])
async def test_a_path_with_two_meanings_is_refused_as_our_own_server_does(path: str) -> None:
    port, stop = await _raw_uvicorn()
    try:
        async with await RawClient.connect(port) as client:
            answer = await client.ask(
                f"GET /thing-service{path} HTTP/1.1\r\nhost: t\r\nx-bb-partner-id: 7\r\n\r\n".encode()
            )
        assert answer.status == 400
    finally:
        await stop()


async def _raw_uvicorn() -> tuple[int, Any]:
    manager = on_uvicorn(an_application())
    client = await manager.__aenter__()
    return client.base_url.port, lambda: manager.__aexit__(None, None, None)


async def test_two_headers_of_one_identity_are_refused() -> None:
    async with in_process(an_application()) as client:
        answer = await client.get("/api/thing", headers=[("x-bb-partner-id", "7"), ("x-bb-partner-id", "8")])
        assert answer.status_code == 400


async def test_a_stream_that_breaks_off_never_looks_complete() -> None:
    async with on_uvicorn(an_application()) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/api/breaks")


async def test_a_caller_who_disconnects_stops_the_work_and_undoes_it() -> None:
    store = Store()
    working = asyncio.Event()

    async def handle(_: Request) -> Response:
        await current_work().join(store)
        working.set()
        await asyncio.Event().wait()
        raise AssertionError

    app = application(route(handle, method="POST"))
    async with on_uvicorn(app) as client:
        asking = asyncio.create_task(client.post("/api/thing", content=b"{}"))
        await working.wait()
        asking.cancel()
        await until(lambda: bool(store.ended), "the unit of work has ended")
    assert store.ended == ["rolled back"]


async def test_a_caller_who_disconnects_within_his_body_stops_the_work_as_well() -> None:
    store = Store()
    working = asyncio.Event()

    async def handle(asked: Request) -> Response:
        await current_work().join(store)
        async for _ in asked.body.chunks(1_000_000):
            working.set()
        raise AssertionError

    async with on_uvicorn(application(route(handle, method="POST"))) as client:
        assert client.base_url.port is not None
        raw = await RawClient.connect(client.base_url.port)
        raw.send(
            b"POST /thing-service/api/thing HTTP/1.1\r\nhost: t\r\nx-bb-partner-id: 7\r\ncontent-length: 900000\r\n\r\n"
            + b"x" * 100_000
        )
        await raw.flush()
        await working.wait()
        raw.reset()
        await until(lambda: bool(store.ended), "the unit of work has ended")
    assert store.ended == ["rolled back"]


def test_the_lifespan_starts_and_stops_the_application() -> None:
    seen: list[str] = []

    async def start() -> None:
        seen.append("start")

    async def stop() -> None:
        seen.append("stop")

    app = application(route(hello), on_start=[start], on_stop=[stop])
    with TestClient(app.asgi()) as client:
        assert client.get("/thing-service/api/thing", headers=HEADERS).json() == {"hello": "there"}
        assert seen == ["start"]
    assert seen == ["start", "stop"]


def test_it_can_be_mounted_below_a_path_of_another_application() -> None:
    outer = Starlette(routes=[Mount("/coffee", app=application(route(hello)).asgi())])
    with TestClient(outer) as client:
        assert client.get("/coffee/thing-service/api/thing", headers=HEADERS).status_code == 200


def test_a_web_socket_is_refused() -> None:
    from starlette.websockets import WebSocketDisconnect

    with (
        TestClient(application(route(hello)).asgi()) as client,
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/thing-service/api/thing"),
    ):
        pass
