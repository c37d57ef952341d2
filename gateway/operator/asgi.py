"""A `Handler` that asks an ASGI application: small requests and answers, whole."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Scope

from coffee_core.wire.message import Handler, Request, Response

BODY_MAX = 64 * 1024
"""Bytes of a request's body."""


def handler_of(app: ASGIApp) -> Handler:
    """The application's answers, as the wire sends them."""

    async def handle(request: Request) -> Response:
        body = await request.body.read(BODY_MAX)
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.scheme,
            "path": request.path,
            "raw_path": request.path.encode(),
            "query_string": request.query,
            "root_path": "",
            "headers": list(request.headers.items()),
            "client": (request.client, 0),
            "server": None,
        }
        response = Response(500, content_type=None)
        pieces: list[bytes] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                response.status = message["status"]
                response.headers = [
                    (bytes(name), bytes(value)) for name, value in message["headers"] if name != b"content-length"
                ]
            elif message["type"] == "http.response.body":
                pieces.append(message.get("body", b""))

        await app(scope, receive, send)
        response.body = b"".join(pieces)
        return response

    return handle
