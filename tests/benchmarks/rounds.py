"""Starts peers, loads them in turn in interleaved rounds, and keeps medians and ratios."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Peer:
    """A server to measure. `command` may use `{port}`; `behind` is a second one that belongs to it: it is started
    first, and its CPU time counts as this one's."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    behind: Peer | None = None


@dataclass
class Figures:
    """Medians over the rounds."""

    rps: float
    ratio: float
    p50: float
    p99: float
    cpu_us: float
    cpu_ratio: float
    """How many of its requests cost the CPU time of one of the first peer's."""
    busy: float
    """Percent of its core that it used; well below 100 the other core, with database and load, was the limit."""
    bad: int


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pinned(command: Sequence[str], cpu: int) -> list[str]:
    """On one core, where there are two: the peer on the first, everything else on the second."""
    if (os.cpu_count() or 1) < 2 or not shutil.which("taskset"):
        return list(command)
    return ["taskset", "-c", str(cpu), *command]


def start(peer: Peer, log: Path, *, pin: bool = True) -> None:
    """Start a peer, on core 0 if it is to be pinned, and wait until it listens."""
    if peer.behind is not None:
        start(peer.behind, log, pin=pin)
    peer.port = peer.port or free_port()
    command = [part.format(port=peer.port) for part in peer.command]
    if pin:
        command = pinned(command, 0)
    with log.open("ab") as out:
        peer.process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **peer.env}, stdout=out, stderr=out,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if peer.process.poll() is not None:
            raise SystemExit(f"{peer.name} ended at once:\n{log.read_text()[-2000:]}")
        try:
            socket.create_connection(("127.0.0.1", peer.port), 0.5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{peer.name} does not listen:\n{log.read_text()[-2000:]}")


def stop(peer: Peer) -> None:
    """End the peer and what it started."""
    if peer.process is not None:
        peer.process.send_signal(signal.SIGTERM)
        try:
            peer.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(peer.process.pid, signal.SIGKILL)
            peer.process.wait()
    if peer.behind is not None:
        stop(peer.behind)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children, from /proc."""
    total = 0.0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(entry.name) == pid or int(fields[1]) == pid:
            total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def spent(peer: Peer) -> float:
    """CPU seconds of all that belongs to it."""
    assert peer.process is not None
    own = cpu_seconds(peer.process.pid)
    return own if peer.behind is None else own + spent(peer.behind)


class Load(Protocol):
    """One round on one peer: `rps`, `p50` and `p99` in ms, `count`, `bad` and `cpu_us`."""

    def __call__(
        self, peer: Peer, requests: Path, connections: int, seconds: float, *, pin: bool = True, once: bool = False
    ) -> dict[str, float]:
        """`requests`: a file with one a line, as JSON."""
        ...


def measure(
    peer: Peer, requests: Path, connections: int, seconds: float, *, pin: bool = True, once: bool = False
) -> dict[str, float]:
    """By the load generator in Python."""
    command = [
        sys.executable, "-m", "tests.benchmarks.load", "127.0.0.1", str(peer.port), str(connections), str(seconds),
        str(requests), *(["once"] if once else []),
    ]  # fmt: skip
    before = spent(peer)
    done = subprocess.run(pinned(command, 1) if pin else command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    found["cpu_us"] = (spent(peer) - before) * 1e6 / max(1.0, found["count"])
    return found


def compare(
    peers: Sequence[Peer],
    requests: Mapping[str, Sequence[bytes]],
    *,
    connections: int,
    seconds: float,
    rounds: int,
    pin: bool = True,
    once: bool = False,
    load: Load = measure,
) -> dict[str, Figures]:
    """Every peer in every round; `requests` by peer name; ratios are to the first peer, in the same round.

    `pin`: the peer has a core and its load the other. `once`: no request is sent twice, each round has its own. `load`
    is what makes one round.
    """
    shares = rounds + 1 if once else 1  # the first is for warming up

    with tempfile.TemporaryDirectory() as folder:

        def one_round(peer: Peer, share: int, seconds: float) -> dict[str, float]:
            file = Path(folder) / "requests"
            lines = [json.dumps(one.decode("latin-1")) for one in requests[peer.name][share % shares :: shares]]
            file.write_text("\n".join(lines), encoding="utf-8")
            return load(peer, file, connections, seconds, pin=pin, once=once)

        try:
            for peer in peers:
                start(peer, Path(folder) / "log", pin=pin)
                one_round(peer, 0, min(1.0, seconds))
            found = [{p.name: one_round(p, 1 + n, seconds) for p in peers} for n in range(rounds)]
        finally:
            for peer in peers:
                stop(peer)
    first = peers[0].name
    middle = statistics.median
    return {
        peer.name: Figures(
            rps=middle(one[peer.name]["rps"] for one in found),
            ratio=middle(one[peer.name]["rps"] / max(1.0, one[first]["rps"]) for one in found),
            p50=middle(one[peer.name]["p50"] for one in found),
            p99=middle(one[peer.name]["p99"] for one in found),
            cpu_us=middle(one[peer.name]["cpu_us"] for one in found),
            cpu_ratio=middle(one[first]["cpu_us"] / max(1.0, one[peer.name]["cpu_us"]) for one in found),
            busy=middle(one[peer.name]["rps"] * one[peer.name]["cpu_us"] / 1e4 for one in found),
            bad=int(sum(one[peer.name]["bad"] for one in found)),
        )
        for peer in peers
    }


def table(title: str, found: Mapping[str, Figures]) -> str:
    """Markdown."""
    first = next(iter(found))
    lines = [
        f"### {title}", "",
        f"| peer | requests/s | x {first} | p50 ms | p99 ms | CPU us/request | x by CPU | core % | bad |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    lines += [
        f"| {name} | {f.rps:,.0f} | {f.ratio:.2f} | {f.p50:.2f} | {f.p99:.2f} | {f.cpu_us:.0f} | {f.cpu_ratio:.2f} "
        f"| {f.busy:.0f} | {f.bad} |"
        for name, f in found.items()
    ]
    return "\n".join(lines) + "\n"
