"""The gateway beside nginx and a Go gateway, by programs from outside: wrk as the load, nginx as the upstream and as
the first peer. Both are faster than what is measured, which the load generator in Python is not.

`python -m tests.benchmarks.outside --go PROGRAM` prints the rows of docs/performance/gateway.md. `PROGRAM` takes
`-listen`, `-upstream`, `-redis` and `-secret`, checks token, session and plan as the gateway does, and forwards every
path; without it nginx is the only peer. Needs wrk, nginx and redis-server on PATH.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.gateway import (
    SESSIONS,
    Rows,
    environment_of,
    fill,
    forward_auth_peers,
    gateway_peer,
)
from tests.benchmarks.rounds import Peer, free_port, pinned, spent, start, stop

NEW = 24_000
"""Sessions of one round in which every request has another one: more than are asked for in it."""
FIRST = "nginx, no auth"
ROWS = ("32", "128", "two workers", "forward auth", "new sessions")
REQUEST = (
    b"GET /content-service/api/content/7?q=1 HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench/1.0\r\n"
    b"Accept: application/json\r\nAccept-Encoding: gzip\r\nX-Request-Id: 0f8fad5b-d9cb-469f-a165-70867728950e\r\n%b\r\n"
)
"""As a program sends it, with a caller's line."""
UPSTREAM = """
worker_processes 1;
daemon off;
pid {folder}/upstream.pid;
error_log {folder}/upstream.log error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path {folder}/u1; proxy_temp_path {folder}/u2; fastcgi_temp_path {folder}/u3;
  uwsgi_temp_path {folder}/u4; scgi_temp_path {folder}/u5;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ default_type application/json; return 200 '{body}'; }}
  }}
}}
"""
WRK = """
local requests, turn = {}, 0
function init()
  for line in io.lines("%s") do requests[#requests + 1] = line:gsub("\\1", "\\r\\n") end
end
function request()
  turn = turn %% #requests + 1
  return requests[turn]
end
function done(found, latency, _)
  local errors = found.errors
  io.write(string.format("RESULT %%d %%d %%d %%d %%d\\n", found.requests, found.duration, latency:percentile(50),
    latency:percentile(99), errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
"""


def by_wrk(
    peer: Peer, requests: Path, connections: int, seconds: float, *, pin: bool = True, once: bool = False
) -> dict[str, float]:
    """One round; with `once` there must be more requests than wrk sends."""
    raw = requests.with_suffix(".raw")
    lines = [json.loads(line) for line in requests.read_text(encoding="utf-8").splitlines()]
    raw.write_bytes(b"\n".join(line.encode("latin-1").replace(b"\r\n", b"\1") for line in lines) + b"\n")
    script = requests.with_suffix(".lua")
    script.write_text(WRK % raw, encoding="utf-8")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(script)]
    command.append(f"http://127.0.0.1:{peer.port}/")
    before = spent(peer)
    done = subprocess.run(pinned(command, 1) if pin else command, capture_output=True, text=True, check=True)
    used = spent(peer) - before
    count, microseconds, p50, p99, bad = map(int, done.stdout.rpartition("RESULT ")[2].split())
    if once and count > len(lines) and peer.name != FIRST:  # who only forwards knows no sessions
        raise SystemExit(f"{count} requests were sent, and there were {len(lines)} sessions: ask for shorter rounds")
    return {
        "rps": count * 1e6 / microseconds,
        "p50": p50 / 1000,
        "p99": p99 / 1000,
        "count": float(count),
        "bad": float(bad),
        "cpu_us": used * 1e6 / max(1, count),
    }


def go_peer(program: str, upstream: int, redis: int, secret: str, workers: int = 1) -> Peer:
    """The same in Go."""
    command = [
        program, "-listen", "127.0.0.1:{port}", "-upstream", f"http://127.0.0.1:{upstream}",
        "-redis", f"127.0.0.1:{redis}", "-secret", secret,
    ]  # fmt: skip
    return Peer("go", command, {"GOMAXPROCS": str(workers)})


def beside(folder: Path) -> tuple[Peer, Peer]:
    """nginx as the upstream, and Redis."""
    upstream, redis = free_port(), free_port()
    config = folder / "upstream.conf"
    body = json.dumps({"data": [{"id": number, "name": f"campaign {number}"} for number in range(32)]})[:1024]
    config.write_text(UPSTREAM.format(folder=folder, port=upstream, body=body), encoding="utf-8")
    kept = ["--save", "", "--appendonly", "no", "--dir", str(folder)]
    return (
        Peer("upstream", pinned(["nginx", "-e", str(folder / "start.log"), "-c", str(config)], 1), port=upstream),
        Peer("redis", pinned(["redis-server", "--port", str(redis), "--bind", "127.0.0.1", *kept], 1), port=redis),
    )


async def measure(folder: Path, options: argparse.Namespace) -> None:
    """All rows, as they come."""
    upstream, redis = beside(folder)
    secret, rounds = secrets.token_urlsafe(48), int(options.rounds)
    try:
        for each in (upstream, redis):
            start(each, folder / f"{each.name}.log", pin=False)
        url = f"redis://127.0.0.1:{redis.port}"
        environment = environment_of(secret, url, upstream.port)
        bounds = {"seconds": float(options.seconds), "rounds": rounds}
        rows = Rows(folder, environment, upstream.port, bounds, by_wrk, shutil.which("nginx"))
        lines = await fill(url, secret, range(SESSIONS))
        small = [REQUEST % line for line in lines]

        def ours(workers: int = 1) -> list[Peer]:
            go = [go_peer(options.go, upstream.port, redis.port, secret, workers)] if options.go else []
            return [*go, gateway_peer(environment, workers)]

        wanted: Sequence[str] = [options.only] if options.only else ROWS
        if "32" in wanted:
            rows.row("1 KB, 32 connections", small, ours(), connections=32)
        if "128" in wanted:
            rows.row("1 KB, 128 connections", small, ours(), connections=128)
        if "two workers" in wanted:
            title = "1 KB, 32 connections, two workers on two cores that carry the load as well"
            rows.row(title, small, ours(2), connections=32, workers=2)
        if "forward auth" in wanted:
            doors = forward_auth_peers(environment, folder, shutil.which("nginx"))
            rows.row("1 KB, 32 connections, forward auth", small, doors, connections=32)
        if "new sessions" in wanted:
            new = await fill(url, secret, range(SESSIONS, SESSIONS + NEW * (rounds + 1)))
            bounds["seconds"] = 1.0
            each_new = [REQUEST % line for line in new]
            rows.row("1 KB, 32 connections, every request a new session", each_new, ours(), connections=32, once=True)
    finally:
        stop(upstream)
        stop(redis)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--go", metavar="PROGRAM", help="a gateway in Go")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one round (3)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=ROWS, help="this row alone")
    options = parser.parse_args(arguments)
    missing = [name for name in ("wrk", "nginx", "redis-server") if shutil.which(name) is None]
    if missing:
        sys.exit(f"not on PATH: {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)  # nginx' workers are somebody else if root starts it
        asyncio.run(measure(folder, options))


if __name__ == "__main__":
    main()
