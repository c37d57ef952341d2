"""Metrics over several workers: each leaves its own in a folder they share, and whoever is asked answers for all.

A worker is named by the lowest slot that no living one holds; the lock goes with its process, however it ends. Every
series keeps a `worker` label: the scraper sums, and a worker that begins again at zero is the reset that it expects.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

log: Final = logging.getLogger("gateway.data_plane")

_SLOTS: Final = 1024


class WorkerMetrics:
    """Of one worker; a collector of all of them. `own` is the registry of this process alone."""

    def __init__(self, folder: Path, own: CollectorRegistry, *, every: float = 1.0) -> None:
        """`every`: seconds between two writes of the own ones; others' are at most this old."""
        self._folder = folder
        self._own = own
        self._every = every
        self.slot, self._lock = self._claim()

    async def publish(self) -> None:
        """Until cancelled."""
        while True:
            try:
                self.write()
            except OSError as error:
                log.error("metrics are not shared: %s", error)  # noqa: TRY400 - the sentence says it all
            await asyncio.sleep(self._every)

    def write(self) -> None:
        """Leave the own ones for the others, whole or not at all."""
        partial = self._folder / f"{self.slot}.new"
        partial.write_bytes(generate_latest(self._own))
        partial.replace(self._file(self.slot))

    def close(self) -> None:
        """This worker is counted no more."""
        if self._lock >= 0:
            self._file(self.slot).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1

    def collect(self) -> Iterator[Metric]:
        """Of prometheus_client: every living worker's."""
        families: dict[str, Metric] = {}
        for slot in sorted(int(path.stem) for path in self._folder.glob("*.prom")):
            for family in text_string_to_metric_families(self._text(slot)):
                merged = families.get(family.name)
                if merged is None:
                    merged = families[family.name] = Metric(family.name, family.documentation, family.type)
                for sample in family.samples:
                    labels = {**sample.labels, "worker": str(slot)}
                    merged.add_sample(sample.name, labels, sample.value)
        yield from families.values()

    def _text(self, slot: int) -> str:
        """What a slot's worker left, if it lives."""
        if slot == self.slot:
            return generate_latest(self._own).decode()
        try:
            lock = self._open_lock(slot)
        except OSError:
            return ""
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            try:
                return self._file(slot).read_text(encoding="utf-8")
            except FileNotFoundError:
                return ""
        finally:
            os.close(lock)
        return ""  # nobody holds it

    def _claim(self) -> tuple[int, int]:
        for slot in range(_SLOTS):
            lock = self._open_lock(slot)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            self._slot_taken(slot)
            return slot, lock
        raise RuntimeError(f"{_SLOTS} workers share their metrics already")

    def _slot_taken(self, slot: int) -> None:
        """What the last holder left is not ours; and our file must be there for the others to see the slot."""
        self._file(slot).write_bytes(b"")

    def _open_lock(self, slot: int) -> int:
        return os.open(self._folder / f"{slot}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _file(self, slot: int) -> Path:
        return self._folder / f"{slot}.prom"
