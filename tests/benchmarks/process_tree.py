"""What a process and all that it has started hold and use: memory and CPU time, as the kernel counts them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")


class Held(NamedTuple):
    """Memory of one process, in megabytes of 2^20 bytes."""

    pid: int
    name: str
    pss: float
    """What it has to itself, and its share of what it shares with others: the sum over a tree is what it takes."""
    private: float
    """What would be free again if it alone ended."""
    resident: float
    """What `ps` calls RSS: counts what is shared once for each process."""


def tree(root: int) -> list[int]:
    """The process and its descendants, parents first."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it ended meanwhile
    found = [root]
    for one in found:  # which grows meanwhile
        found += sorted(pid for pid, parent in parents.items() if parent == one)
    return found


def held(root: int) -> list[Held]:
    """Each process of the tree."""
    found = []
    for pid in tree(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        private = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
        found.append(
            Held(pid, named(words), kilobytes["Pss"] / 1024, private / 1024, kilobytes["Rss"] / 1024)
        )  # fmt: skip
    return found


def named(words: list[str]) -> str:
    """The part of a command line that tells processes of the platform from each other."""
    line = " ".join(word for word in words if word)
    if "clickhouse_front" in line:
        return "clickhouse (chDB)"
    if "coffee_core.cli.main" in words:
        return " ".join(["coffee", *[word for word in words[words.index("coffee_core.cli.main") + 1 :] if word]][:4])
    head, _, rest = line.partition(" ")
    return f"{Path(head).name} {rest if head.startswith(('postgres:', 'coffee')) else ''}".strip()[:40]


def cpu_seconds(root: int) -> Mapping[int, float]:
    """User and system time of each process of the tree, that of children that have ended with their parent's."""
    found: dict[int, float] = {}
    for pid in tree(root):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[pid] = sum(int(number) for number in fields[11:15]) / TICKS
    return found
