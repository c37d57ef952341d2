"""The whole way of a `GET` by id: gateway, module and PostgreSQL, beside a gateway and a module in Go, by wrk.

`python -m tests.benchmarks.whole_way --go GATEWAY --go-module MODULE` prints the row of docs/performance/gateway.md.
`GATEWAY` is as for `tests.benchmarks.outside`, but forwards `/items/...`; `MODULE` takes `-listen` and `-dsn`, and
answers `GET /items/ID` from a table `item`. All have both cores, which carry PostgreSQL, Redis and the load as well.
Go's side has no tenant, plan or ETag; ours is as shipped, the identity signed and verified. Needs wrk and redis-server
on PATH.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from coffee_core.embedded.servers import embedded_servers
from tests.benchmarks.gateway import SESSIONS, environment_of, fill, gateway_peer
from tests.benchmarks.module import PARTNERS, ROWS, SCHEMA
from tests.benchmarks.outside import beside, by_wrk
from tests.benchmarks.rounds import Peer, compare, free_port, start, stop, table

GO_SCHEMA = """
DROP TABLE IF EXISTS item;
CREATE TABLE item AS
  SELECT id, md5(partner_id::text)::uuid AS partner_id, name, platform, followers, engagement, tags,
    created_at, updated_at
  FROM bench.item;
ALTER TABLE item ADD PRIMARY KEY (id);
ANALYZE item;
"""
REQUEST = "GET {path}/{id} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\n"


def asked(path: str, lines: Sequence[bytes]) -> list[bytes]:
    """Each caller's own rows."""
    ids = [n % PARTNERS + n * PARTNERS % ROWS for n in range(len(lines))]  # of partner 1 + n % PARTNERS
    return [
        REQUEST.format(path=path, id=id or PARTNERS).encode() + line + b"\r\n"
        for id, line in zip(ids, lines, strict=True)
    ]


def go_peer(gateway: str, module: str, redis: str, secret: str, database: str) -> Peer:
    """Both in Go."""
    at = free_port()
    behind = Peer("go module", [module, "-listen", "127.0.0.1:{port}", "-dsn", database], port=at)
    command = [
        gateway, "-listen", "127.0.0.1:{port}", "-upstream", f"http://127.0.0.1:{at}",
        "-redis", redis, "-secret", secret,
    ]  # fmt: skip
    return Peer("go", command, behind=behind)


def our_peer(redis_url: str, secret: str, database: str) -> Peer:
    """As shipped: the module believes nobody but the gateway."""
    at = free_port()
    environment = environment_of(secret, redis_url, at)
    env = {**environment, "BENCH_URL": database, "COFFEE_HTTP_ACCESS_LOG": "stdout"}
    peer = gateway_peer(environment)
    peer.behind = Peer("module", [sys.executable, "-m", "tests.benchmarks.peers.product", "{port}"], env, port=at)
    return peer


async def measure(folder: Path, options: argparse.Namespace) -> None:
    """The row."""
    redis = beside(folder)[1]
    start(redis, folder / "redis.log", pin=False)
    at = f"127.0.0.1:{redis.port}"
    try:
        async with embedded_servers(folder, {"postgres"}, durable=False) as urls:
            assert urls.database_url is not None
            raw = await asyncpg.connect(urls.database_url)
            await raw.execute(SCHEMA)
            await raw.execute(GO_SCHEMA)
            await raw.close()
            secret = secrets.token_urlsafe(48)
            lines = await fill(f"redis://{at}", secret, range(SESSIONS), partner=lambda n: str(1 + n % PARTNERS))
            ours = our_peer(f"redis://{at}", secret, urls.database_url)
            peers, requests = [ours], {ours.name: asked("/bench-service/api/item", lines)}
            if options.go and options.go_module:
                go = go_peer(options.go, options.go_module, at, secret, urls.database_url)
                peers.insert(0, go)
                requests[go.name] = asked("/items", lines)
            found = compare(
                peers, requests, connections=32, seconds=float(options.seconds), rounds=int(options.rounds), pin=False,
                load=by_wrk,
            )  # fmt: skip
            title = "The whole way, GET of a record by id, 32 connections, two cores for all"
            print(table(title, found), flush=True)
    finally:
        stop(redis)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--go", metavar="PROGRAM", help="a gateway in Go that forwards /items/...")
    parser.add_argument("--go-module", metavar="PROGRAM", help="a module in Go")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one round (3)")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    missing = [name for name in ("wrk", "redis-server") if shutil.which(name) is None]
    if missing:
        sys.exit(f"not on PATH: {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(measure(Path(name), options))


if __name__ == "__main__":
    main()
