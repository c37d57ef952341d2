"""An OpenID provider of the tests' own, on a socket: it checks what Google checks."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

CLIENT_ID, CLIENT_SECRET = "coffee-at-the-tests", "the provider's secret for it"


class Provider:
    """`agree` is the person at the browser; `spoil` changes claims of the next ID tokens."""

    def __init__(self) -> None:
        self.url = ""
        self.spoil: dict[str, Any] = {}
        self.key_reads = 0
        self.down = False
        self._codes: dict[str, dict[str, str]] = {}
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._kid = "first"
        routes = [Route("/token", self._token, methods=["POST"]), Route("/keys", self._keys)]
        self.app = Starlette(routes=routes)

    def settings(self) -> dict[str, Any]:
        return {
            "google_client_id": CLIENT_ID,
            "google_client_secret": CLIENT_SECRET,
            "google_issuer": self.url,
            "google_authorize_url": f"{self.url}/authorize",
            "google_token_url": f"{self.url}/token",
            "google_keys_url": f"{self.url}/keys",
        }

    def change_key(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._kid = secrets.token_hex(4)

    def agree(self, location: str, email: str) -> dict[str, str]:
        """What the browser brings back after somebody has agreed at `location`."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        assert asked["client_id"] == CLIENT_ID
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert set(asked["scope"].split()) == {"openid", "email"}
        code = secrets.token_urlsafe(16)
        self._codes[code] = {**asked, "email": email}
        return {"code": code, "state": asked["state"]}

    def logout_token(self, said: dict[str, Any], **header: Any) -> str:
        """A good one; `said` and `header` change what it says (None leaves a claim out)."""
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 120, "jti": secrets.token_urlsafe(12),
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}}, **said,
        }  # fmt: skip
        key = header.pop("key", self._key)
        algorithm = header.pop("algorithm", "RS256")
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, key, algorithm, headers={"kid": self._kid, "typ": "logout+jwt", **header})

    def public_key(self) -> bytes:
        """As PEM: what everybody knows."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(serialization.Encoding.PEM, form)

    async def _token(self, request: Request) -> JSONResponse:
        if self.down:
            return JSONResponse({}, 503)
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        asked = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        client = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        good = (
            asked is not None
            and asked["code_challenge"] == challenge
            and asked["redirect_uri"] == form.get("redirect_uri")
            and request.headers.get("authorization") == f"Basic {client}"
        )
        if not good or asked is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": CLIENT_ID, "sub": "1", "iat": now, "exp": now + 60, "nonce": asked["nonce"],
            "email": asked["email"], "email_verified": True, **self.spoil,
        }  # fmt: skip
        said = {name: value for name, value in claims.items() if value is not None}
        token = jwt.encode(said, self._key, algorithm="RS256", headers={"kid": self._kid})
        return JSONResponse({"access_token": "unused", "token_type": "Bearer", "expires_in": 60, "id_token": token})

    async def _keys(self, request: Request) -> JSONResponse:
        self.key_reads += 1
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        return JSONResponse({"keys": [{**key, "kid": self._kid, "alg": "RS256", "use": "sig"}]})


@asynccontextmanager
async def on_a_socket(provider: Provider) -> AsyncIterator[Provider]:
    sock = socket.create_server(("127.0.0.1", 0))
    provider.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(provider.app, log_config=None, lifespan="off", ws="none"))
    serving = asyncio.create_task(server._serve([sock]))  # serve() would take over the process's signal handlers
    async with asyncio.timeout(10):
        while not server.started:
            await asyncio.sleep(0.005)
    try:
        yield provider
    finally:
        server.should_exit = True
        await serving
        sock.close()
