"""How long a start takes, and what the platform holds when nobody asks it anything: `python -m tests.benchmarks.start`.

`coffee up` as its user runs it, in an empty folder, on free ports, with every embedded server. The clock stops when a
demo partner has signed in through the gateway and found channels; then it is stopped by Ctrl-C and started again.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.process_tree import Held, cpu_seconds, held
from tests.benchmarks.rounds import ROOT
from tests.support.ports import free_ports

WITHIN_SECONDS = 180.0
SETTLE_SECONDS = 15.0
ASLEEP_SECONDS = 75.0
"""More than COFFEE_EMBEDDED_CLICKHOUSE_IDLE_SECONDS."""
IDLE_SECONDS = 10.0
STEP = re.compile(r"^✓ (?P<what>.+) (?P<seconds>\d+\.\d) s$")

LOGIN = {"email": "paid@example.com", "password": "coffee-demo"}
SEARCH = {"filters": [{"filterType": "EQ", "field": "country", "value": "India"}]}
SEARCH_PATH = "/social-profile-service/api/youtube/search?sortBy=followers&sortDir=DESC&size=3"


class Start(NamedTuple):
    """One start. Seconds."""

    first_answer: float
    steps: Mapping[str, float]
    """As `coffee up` says them; some may run beside each other."""
    stop: float
    cpu: float
    """CPU time of all processes up to the first answer."""


class Idle(NamedTuple):
    """The platform at rest."""

    processes: Sequence[Held]
    percent: Mapping[int, float]
    """CPU time of each process, in percent of one core."""


def ask(port: int, path: str, body: object, token: str = "") -> dict[str, object] | None:
    """The answer; `None` while there is no good one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    try:
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    if answer.status != 200:
        return None
    read: dict[str, object] = json.loads(text)
    return read


def partner_is_served(port: int) -> bool:
    """Whether a demo partner gets what he asks for: a token, and channels with it."""
    signed_in = ask(port, "/auth/login", LOGIN)
    if signed_in is None:
        return False
    (session,) = signed_in["data"]  # type: ignore[misc]
    found = ask(port, SEARCH_PATH, SEARCH, session["accessToken"])  # type: ignore[has-type]
    return found is not None and bool(found["data"])


class Run:
    """One `coffee up`."""

    def __init__(self, folder: Path) -> None:
        names = ("GATEWAY", "MODULES", "DATA", "METRICS")
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        clean = {name: value for name, value in os.environ.items() if not name.startswith("COFFEE_")}
        told = {f"COFFEE_{name}_PORT": str(port) for name, port in self._ports.items()}
        self._output = folder / "said"
        self._begun = time.monotonic()
        with self._output.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "coffee_core.cli.main", "up"],
                cwd=folder, env={**clean, **told, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL,
                stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def said(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def first_answer(self) -> float:
        """Seconds from the start to it."""
        while not partner_is_served(self._ports["GATEWAY"]):
            if self.process.poll() is not None or time.monotonic() - self._begun > WITHIN_SECONDS:
                self.kill()
                raise SystemExit(f"no answer:\n{self.said()}")
            time.sleep(0.02)
        return time.monotonic() - self._begun

    def steps(self) -> dict[str, float]:
        """What `coffee up` took so long for, by its own words; when all of it has been said."""
        while "Ctrl-C stops everything" not in self.said():
            time.sleep(0.02)
        return {
            found["what"]: float(found["seconds"]) for line in self.said().splitlines() if (found := STEP.match(line))
        }

    def cpu(self) -> float:
        return sum(cpu_seconds(self.process.pid).values())

    def stop(self) -> float:
        """Ctrl-C; seconds until it has ended."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        return time.monotonic() - begun

    def kill(self) -> None:
        """Its children end with it."""
        self.process.kill()
        self.process.wait()


def idle(root: int, after: float) -> Idle:
    """After a while, over a while. Seconds."""
    time.sleep(after)
    before = cpu_seconds(root)
    time.sleep(IDLE_SECONDS)
    used = {pid: 100 * (now - before.get(pid, now)) / IDLE_SECONDS for pid, now in cpu_seconds(root).items()}
    return Idle(held(root), used)


def start(folder: Path, *, at_rest: bool = False) -> tuple[Start, list[Idle]]:
    """Start, be served, look at it at rest if that is wanted, and stop."""
    run = Run(folder)
    try:
        seconds = run.first_answer()
        cpu = run.cpu()
        steps = run.steps()
        rests = (SETTLE_SECONDS, ASLEEP_SECONDS) if at_rest else ()
        found = [idle(run.process.pid, after) for after in rests]
        return Start(seconds, steps, run.stop(), cpu), found
    finally:
        run.kill()


def starts_table(first: Sequence[Start], second: Sequence[Start]) -> str:
    """Medians, in Markdown."""
    lines = ["| seconds | an empty folder | with data |", "|---|---:|---:|"]

    def row(what: str, values: Sequence[Sequence[float]]) -> str:
        return f"| {what} | {' | '.join(f'{statistics.median(one):.1f}' if one else '-' for one in values)} |"

    lines.append(row("**to the first answer**", [[one.first_answer for one in each] for each in (first, second)]))
    steps = dict.fromkeys(step for one in (*first, *second) for step in one.steps)
    lines += [row(step, [[one.steps.get(step, 0.0) for one in each] for each in (first, second)]) for step in steps]
    lines.append(row("CPU time to the first answer", [[one.cpu for one in each] for each in (first, second)]))
    lines.append(row("Ctrl-C to the end", [[one.stop for one in each] for each in (first, second)]))
    return "\n".join(lines) + "\n"


def idle_table(found: Idle, when: str) -> str:
    """Each process, and all together; the workers of one PostgreSQL together."""
    lines = [f"| at rest, {when} | PSS MB | its own MB | RSS MB | CPU % |", "|---|---:|---:|---:|---:|"]
    groups: dict[str, list[Held]] = {}
    for one in found.processes:
        groups.setdefault("postgres" if one.name.startswith("postgres") else one.name, []).append(one)

    def row(name: str, some: Sequence[Held]) -> str:
        memory = (sum(one[place] for one in some) for place in (2, 3, 4))
        percent = sum(found.percent.get(one.pid, 0.0) for one in some)
        return f"| {name} | {' | '.join(f'{value:.0f}' for value in memory)} | {percent:.1f} |"

    for name, some in groups.items():
        lines.append(row(f"{name} ({len(some)} processes)" if len(some) > 1 else name, some))
    lines.append(row("**all**", found.processes))
    return "\n".join(lines) + "\n"


def measure(rounds: int) -> list[str]:
    """Each round an empty folder, then the same with its data; at rest in the last one."""
    first, second, at_rest = [], [], []
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="coffee-start-") as name:
            begun, found = start(Path(name), at_rest=number == rounds - 1)
            first.append(begun)
            at_rest += found
            second.append(start(Path(name))[0])
    titles = ("soon after the start", "when ClickHouse sleeps")
    tables = [starts_table(first, second), *map(idle_table, at_rest, titles)]
    print("\n".join(tables))
    return tables


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    measure(options.parse_args().rounds)


if __name__ == "__main__":
    main()
