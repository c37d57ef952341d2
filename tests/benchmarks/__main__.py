"""Measures, prints ratios, and with `--write` puts them into docs/performance: `python -m tests.benchmarks`."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from coffee_core.embedded.servers import embedded_servers
from tests.benchmarks import gateway, module, start, transfer
from tests.benchmarks.rounds import ROOT, table

OPERATIONS = ("get", "search", "patch", "create")
LIBRARIES = ("asyncpg", "starlette", "sqlalchemy", "uvloop", "httptools", "msgspec", "orjson", "uvicorn")


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def heading() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores of {processor()}, "
        f"Python {platform.python_version()}; {libraries}. Ratios are medians over interleaved rounds of one run; "
        "the peer runs on one core, all that it asks and the load generator on the other, unless a table says else.\n"
    )


def kept(name: str, measured: Iterable[str]) -> dict[str, str]:
    """The tables of a page by operation, so that operations may be measured one at a time; those of `measured` go."""
    target = ROOT / "docs" / "performance" / f"{name}.md"
    text = target.read_text(encoding="utf-8").partition("\n## ")[0] if target.exists() else ""
    parts = [f"### {part}" for part in text.split("### ")[1:]]
    found = {part.removeprefix("### ").partition(",")[0]: part for part in parts}
    return {operation: part for operation, part in found.items() if operation not in set(measured)}


def write(name: str, title: str, tables: Iterable[str]) -> None:
    """What is measured here goes before the page's first section; the sections stay as they were written."""
    target = ROOT / "docs" / "performance" / f"{name}.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    before = target.read_text(encoding="utf-8") if target.exists() else ""
    _, found, sections = before.partition("\n## ")
    target.write_text(f"# {title}\n\n{heading()}\n" + "\n".join(tables) + found + sections, encoding="utf-8")
    print(f"written: {target.relative_to(ROOT)}")


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", choices=("module", "gateway", "start", "transfer"), default=None)
    options.add_argument("--operations", default=",".join(OPERATIONS))
    options.add_argument("--peers", default="", help="names, with commas between them; all if it is not there")
    options.add_argument("--seconds", type=float, default=3)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--connections", type=int, default=32)
    options.add_argument("--write", action="store_true", help="write docs/performance")
    chosen = options.parse_args()
    if chosen.only in (None, "start"):
        start.measure(chosen.rounds)
    if chosen.only == "start":
        return
    bounds = {"connections": chosen.connections, "seconds": chosen.seconds, "rounds": chosen.rounds}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with embedded_servers(folder, {"postgres", "valkey"}, durable=False) as urls:
            assert urls.database_url is not None
            assert urls.redis_url is not None
            if chosen.only in (None, "module"):
                found = await module.measure(
                    urls.database_url, operations=chosen.operations.split(","),
                    only=[name for name in chosen.peers.split(",") if name], **bounds,
                )  # fmt: skip
                if chosen.write:
                    made = {op: table(f"{op}, {chosen.connections} connections", f) for op, f in found.items()}
                    made |= kept("module", found)
                    tables = [made[op].rstrip() + "\n" for op in OPERATIONS if op in made]
                    write("module", "A module beside a hand-written handler", tables)
            if chosen.only in (None, "gateway"):
                rows = await gateway.measure(folder, urls.redis_url, seconds=chosen.seconds, rounds=chosen.rounds)
                if chosen.write:
                    tables = [table(title, figures) for title, figures in rows.items()]
                    write("gateway", "The gateway beside nginx that only forwards", tables)
            if chosen.only in (None, "transfer"):
                many = await transfer.measure(urls.database_url, rounds=chosen.rounds)
                print(transfer.table(many))


if __name__ == "__main__":
    asyncio.run(main())
