"""Many records at once beside COPY: the same rows into and out of the same table, with its constraints and indexes.

`python -m tests.benchmarks.transfer`. A round does each operation once through the product, over HTTP, and once through
COPY by asyncpg, which is the limit: it has no validation, no tenant, no report and no HTTP. The peak of the module's
memory is what the kernel kept (VmHWM), set back before each operation.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

import asyncpg

from coffee_core.embedded.servers import embedded_servers
from tests.benchmarks.peers.transfer_product import BASE, TABLE
from tests.benchmarks.rounds import Peer, cpu_seconds, start, stop

PARTNER = 7
IDENTITY = f"x-bb-partner-id: {PARTNER}\r\nx-bb-account-id: 1\r\nx-bb-uid: 1\r\nx-bb-plan-type: SAAS\r\n"
CREATED, IMPORTED, EXPORTED = 10_000, 100_000, 1_000_000
COLUMNS = ("owner", "name", "platform", "followers", "engagement", "tags")
WRITTEN = ("id", *COLUMNS, "created_at", "updated_at")
"""What an export holds."""
COPIED = f"COPY (SELECT {', '.join(WRITTEN)} FROM transfer.record WHERE partner_id = {PARTNER} ORDER BY id) TO STDOUT"
FILL = """
TRUNCATE transfer.record RESTART IDENTITY;
INSERT INTO transfer.record (partner_id, owner, name, platform, followers, engagement, tags)
SELECT {partner}, md5((i % 50)::text)::uuid, 'creator ' || i,
       (ARRAY['instagram', 'tiktok', 'youtube', 'twitter'])[1 + i % 4],
       (i::bigint * 7919) % 1000003, (i % 1000) / 3000.0, '["fashion", "travel", "food"]'::jsonb
FROM generate_series(1, {rows}) i;
ANALYZE transfer.record;
"""
RECEIVED = 1 << 18
"""Bytes that the client reads at once."""

Row = tuple[UUID, str, str, int, float, list[str]]


@dataclass
class Figures:
    """Of one operation; seconds by round."""

    rows: int
    ours: list[float] = field(default_factory=list)
    copy: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """Of the module's process."""
    peak: int = 0
    """Bytes."""

    @property
    def ratio(self) -> float:
        """Rows a second as a part of COPY's, in the same round."""
        return statistics.median(c / o for c, o in zip(self.copy, self.ours, strict=True))


def made(rows: int) -> Iterator[Row]:
    """The rows, each with a key of its own."""
    for n in range(rows):
        platform = ("instagram", "tiktok", "youtube", "twitter")[n % 4]
        yield (
            uuid5(NAMESPACE_URL, str(n % 50)),
            f"creator {n}",
            platform,
            n * 7919 % 1000003,
            n % 1000 / 3000,
            ["a", "b"],
        )


def as_bulk(rows: Iterator[Row]) -> bytes:
    """The body of POST /bulk."""
    records = [dict(zip(COLUMNS, (str(owner), *rest), strict=True)) for owner, *rest in rows]
    return json.dumps({"create": records}).encode()


def as_csv(rows: Iterator[Row], *more: str) -> bytes:
    """With a header; `more` columns hold the partner, for COPY, which knows of none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow((*COLUMNS, *more))
    writer.writerows((*row[:5], json.dumps(row[5]), *[PARTNER for _ in more]) for row in rows)
    return out.getvalue().encode()


def as_ndjson(rows: Iterator[Row]) -> bytes:
    """One object a line."""
    lines = [json.dumps(dict(zip(COLUMNS, (str(owner), *rest), strict=True))) for owner, *rest in rows]
    return ("\n".join(lines) + "\n").encode()


class Client:
    """One connection to the module; a request at a time, by hand, so that the client is not what is measured."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 120)
        self._buffer = memoryview(bytearray(RECEIVED))

    def ask(self, method: str, path: str, body: bytes = b"", media: str = "application/json") -> tuple[bytes, int]:
        """The head with what came behind it, and the number of lines of the body; what is no success ends the run."""
        head = f"{method} {BASE}{path} HTTP/1.1\r\nhost: bench\r\n{IDENTITY}"
        if body:
            head += f"content-type: {media}\r\ncontent-length: {len(body)}\r\n"
        self._socket.sendall(head.encode() + b"\r\n" + body)
        first = b""
        while b"\r\n\r\n" not in first:
            first += self._socket.recv(RECEIVED)
        head_end = first.index(b"\r\n\r\n") + 4
        if first[9:12] != b"200":
            raise SystemExit(f"{method} {path}: {first[:2000]!r}")
        if b"chunked" in first[:head_end].lower():
            lines, last = first[head_end:].count(b"\n"), first[-7:]
            while not last.endswith(b"\r\n0\r\n\r\n"):
                got = self._socket.recv_into(self._buffer)
                if not got:
                    raise SystemExit(f"{method} {path} broke off")
                last = last[-7:] + bytes(self._buffer[max(0, got - 7) : got])
            return first, lines
        name = first[:head_end].lower().index(b"content-length:") + 15
        missing = int(first[name : first.index(b"\r", name)]) - (len(first) - head_end)
        while missing > 0:
            got = self._socket.recv(RECEIVED)
            if not got:
                raise SystemExit(f"{method} {path} broke off")
            first, missing = first + got, missing - len(got)
        return first, 0

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def peak(pid: int) -> int:
    """The most memory that the process has had since `forget`, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("the kernel does not keep the peak of a process's memory")


def forget(pid: int) -> None:
    """From here on the peak counts anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


class Bench:
    """The module's process, its database, and what is done with both."""

    def __init__(self, peer: Peer, raw: asyncpg.Connection) -> None:
        assert peer.process is not None
        self.pid = peer.process.pid
        self.client = Client(peer.port)
        self.raw = raw

    async def empty(self) -> None:
        """The table as it was made."""
        await self.raw.execute("TRUNCATE transfer.record RESTART IDENTITY; CHECKPOINT")

    async def ours(self, figures: Figures, method: str, path: str, body: bytes = b"", media: str = "") -> bytes:
        """One request to the module."""
        forget(self.pid)
        cpu, begun = cpu_seconds(self.pid), time.perf_counter()
        answer, _ = await asyncio.to_thread(self.client.ask, method, path, body, media)
        figures.ours.append(time.perf_counter() - begun)
        figures.cpu.append(cpu_seconds(self.pid) - cpu)
        figures.peak = max(figures.peak, peak(self.pid))
        return answer

    async def stored(self, rows: int) -> None:
        """All of them must be there."""
        there = await self.raw.fetchval("SELECT count(*) FROM transfer.record")
        if there != rows:
            raise SystemExit(f"{there} rows are stored of {rows}")

    async def copied(self, figures: Figures, copy: Callable[[], Awaitable[object]]) -> None:
        """COPY, in its own time."""
        begun = time.perf_counter()
        await copy()
        figures.copy.append(time.perf_counter() - begun)

    async def bulk(self, figures: Figures) -> None:
        """Create all in one request, all or none."""
        body = as_bulk(made(figures.rows))
        records = [(PARTNER, *row[:5], json.dumps(row[5])) for row in made(figures.rows)]
        await self.empty()
        await self.ours(figures, "POST", "/bulk", body, "application/json")
        await self.stored(figures.rows)
        await self.empty()
        copy = self.raw.copy_records_to_table
        await self.copied(
            figures, lambda: copy("record", schema_name="transfer", records=records, columns=("partner_id", *COLUMNS))
        )
        await self.stored(figures.rows)

    async def imported(self, figures: Figures, media: str) -> None:
        """Read a file to its end, or refuse it."""
        body = as_csv(made(figures.rows)) if media == "text/csv" else as_ndjson(made(figures.rows))
        theirs = as_csv(made(figures.rows), "partner_id")
        await self.empty()
        await self.ours(figures, "POST", "/import", body, media)
        await self.stored(figures.rows)
        await self.empty()
        await self.copied(
            figures,
            lambda: self.raw.copy_to_table(
                "record", schema_name="transfer", source=io.BytesIO(theirs), columns=(*COLUMNS, "partner_id"),
                format="csv", header=True,
            ),
        )  # fmt: skip
        await self.stored(figures.rows)

    async def exported(self, figures: Figures, format: str) -> None:
        """All that the partner has."""
        await self.ours(figures, "GET", f"/export?format={format}")
        query = COPIED.partition("(")[2].rpartition(")")[0]

        async def swallow(_: bytes) -> None:
            pass

        await self.copied(figures, lambda: self.raw.copy_from_query(query, output=swallow, format="csv", header=True))


def operations(bench: Bench) -> dict[str, tuple[int, Callable[[Figures], Awaitable[None]]]]:
    """By name: rows, and what does one round."""
    formats = ["csv", "ndjson", *(["parquet"] if find_spec("pyarrow") else [])]
    return {
        "bulk create": (CREATED, bench.bulk),
        "CSV import": (IMPORTED, lambda figures: bench.imported(figures, "text/csv")),
        "NDJSON import": (IMPORTED, lambda figures: bench.imported(figures, "application/x-ndjson")),
        **{
            f"{one.upper() if one != 'parquet' else 'Parquet'} export":
                (EXPORTED, lambda figures, one=one: bench.exported(figures, one))
            for one in formats
        },
    }  # fmt: skip


async def measure(
    url: str, *, rounds: int = 3, only: Sequence[str] = (), memory: Sequence[int] = (), scale: float = 1
) -> dict[str, dict[int, Figures]]:
    """By operation and number of rows. `memory`: other numbers of rows, done once each, for the peak."""
    raw = await asyncpg.connect(url)
    await raw.set_type_codec(
        "jsonb", encoder=lambda text: b"\1" + text.encode(), decoder=bytes, schema="pg_catalog", format="binary"
    )
    found: dict[str, dict[int, Figures]] = {}
    try:
        await raw.execute(TABLE)
        settings = {
            "BENCH_URL": url, "COFFEE_HTTP_ACCESS_LOG": "stdout", "COFFEE_REST_BULK_ROWS_MAX": "1000000",
            "COFFEE_REST_BULK_BYTES_MAX": "1000000000",
        }  # fmt: skip
        peer = Peer("coffee", [sys.executable, "-m", "tests.benchmarks.peers.transfer_product", "{port}"], settings)
        with tempfile.TemporaryDirectory() as folder:
            start(peer, Path(folder) / "log")
            try:
                bench = Bench(peer, raw)
                chosen = {n: one for n, one in operations(bench).items() if not only or n in only}
                for name, (rows, _) in chosen.items():
                    found[name] = {int(rows * scale): Figures(int(rows * scale))}
                await _interleaved(bench, chosen, found, rounds)
                bench.client.close()
            finally:
                stop(peer)
            for size in sorted(memory):
                for name in chosen:
                    start(peer, Path(folder) / "log")
                    try:
                        bench = Bench(peer, raw)
                        if "export" in name:
                            await _fill(bench, size)
                        figures = Figures(size)
                        await operations(bench)[name][1](figures)
                        found[name].setdefault(size, figures).peak = figures.peak
                        bench.client.close()
                    finally:
                        stop(peer)
    finally:
        await raw.close()
    return found


async def _fill(bench: Bench, rows: int) -> None:
    await bench.raw.execute(FILL.format(partner=PARTNER, rows=rows))


async def _interleaved(
    bench: Bench,
    chosen: dict[str, tuple[int, Callable[[Figures], Awaitable[None]]]],
    found: dict[str, dict[int, Figures]],
    rounds: int,
) -> None:
    for at in range(rounds + 1):
        filled = 0
        for name, (_, run) in chosen.items():
            rows, figures = next(iter(found[name].items()))
            if "export" in name and filled != rows:
                await _fill(bench, rows)
                filled = rows
            await run(Figures(rows) if at == 0 else figures)  # the first round warms up


def table(found: dict[str, dict[int, Figures]]) -> str:
    """Markdown."""
    lines = [
        "| what | rows | seconds | COPY | x COPY | CPU us/row | peak MB |", "|---|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    middle = statistics.median
    for name, sizes in found.items():
        rows, one = next(iter(sizes.items()))
        lines.append(
            f"| {name} | {rows:,} | {middle(one.ours):.3f} | {middle(one.copy):.3f} | {one.ratio:.2f} "
            f"| {middle(one.cpu) * 1e6 / rows:.1f} | {one.peak / 1e6:.0f} |"
        )
    return "\n".join(lines) + "\n"


def memory_table(found: dict[str, dict[int, Figures]]) -> str:
    """Markdown: the peak by the number of rows."""
    sizes = sorted({size for one in found.values() for size in one})
    lines = ["| peak MB at | " + " | ".join(f"{size:,}" for size in sizes) + " |", "|---|" + "---:|" * len(sizes)]
    for name, one in found.items():
        lines.append(f"| {name} | " + " | ".join(f"{one[s].peak / 1e6:.0f}" if s in one else "" for s in sizes) + " |")
    return "\n".join(lines) + "\n"


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", default="", help="names of operations, with commas between them; all if empty")
    options.add_argument("--scale", type=float, default=1, help="of the numbers of rows")
    options.add_argument(
        "--memory", default="", help="numbers of rows whose peak is looked at too: 10000,100000,1000000"
    )
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        async with embedded_servers(Path(name), {"postgres"}, durable=False) as urls:
            assert urls.database_url is not None
            found = await measure(
                urls.database_url, rounds=chosen.rounds, scale=chosen.scale,
                only=[one for one in chosen.only.split(",") if one],
                memory=[int(one) for one in chosen.memory.split(",") if one],
            )  # fmt: skip
    print(table(found))
    print(memory_table(found))


if __name__ == "__main__":
    asyncio.run(main())
