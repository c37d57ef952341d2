"""What happened is added up over all workers, those that have gone included."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import pytest

from coffee_core.cache.stats import CacheStats
from gateway.data_plane.metrics import Metrics
from gateway.operator.figures import KEPT, LATE, TICK, Figures, Now, Told, following


def now(pid: int = 0, at: float | None = None) -> Now:
    return Now(pid or os.getpid(), at or time.time(), 0.0, 3, False, [1], [], [])


def a_tick() -> int:
    return int(time.time()) // TICK


def test_a_tick_is_what_happened_since_the_last_one(tmp_path: Path) -> None:
    metrics, stats = Metrics(), CacheStats()
    figures = Figures(tmp_path, metrics, {"session": stats}, now)
    metrics.observe("service", b"PAID", 200, 0.002, 10)
    metrics.observe("service", b"FREE", 402, 0.002, 10)
    stats.hits = 5
    figures.tick(a_tick() - 1)
    metrics.observe("service", b"PAID", 503, 0.2, 10)
    stats.hits, stats.loads = 6, 1
    figures.tick(a_tick())
    (first, second), (worker,) = figures.all()
    assert (first.statuses, second.statuses) == ([1, 0, 1, 0], [0, 0, 0, 1])
    assert (first.caches["session"], second.caches["session"]) == ([5, 0, 0, 0], [1, 0, 1, 0])
    assert (first.plans, second.plans) == ({"PAID": [1, 0], "FREE": [1, 1]}, {"PAID": [1, 1]})
    assert second.routes["service"][:3] == [1, 0, 1]
    assert worker.clients == 3


@pytest.mark.parametrize("early", [0.0, 0.0001, 0.01])
def test_a_timer_that_goes_off_early_skips_no_tick(early: float) -> None:
    number, wait = following(1_000_001.5)
    assert (number, wait) == (500_001, 0.5)
    number, wait = following(1_000_002 - early)
    assert (number, round(wait, 6)) == (500_002, round(2 + early, 6))


def test_a_worker_that_tells_of_a_tick_later_than_others_still_counts_for_it(tmp_path: Path) -> None:
    metrics = Metrics()
    figures = Figures(tmp_path, metrics, {}, now)
    number = a_tick()
    for passed in range(LATE + 2):
        metrics.observe("service", b"PAID", 200, 0.002, 10)
        figures.tick(number - LATE - 1 + passed)
    asked = figures.all()[0][-1].number
    told = msgspec.json.decode((tmp_path / f"{os.getpid()}.figures").read_bytes(), type=Told)
    (tmp_path / "1.figures").write_bytes(msgspec.json.encode(Told(now(1), told.ticks)))
    again = figures.all(asked)[0]
    assert [tick.number for tick in again] == list(range(number - LATE + 1, number + 1))
    assert {tick.routes["service"][0] for tick in again} == {2}


def test_workers_are_added_up_and_one_that_has_gone_still_counts_for_the_past(tmp_path: Path) -> None:
    metrics = Metrics()
    figures = Figures(tmp_path, metrics, {}, now)
    metrics.observe("service", b"PAID", 200, 0.002, 10)
    figures.tick(a_tick())
    told = msgspec.json.decode((tmp_path / f"{os.getpid()}.figures").read_bytes(), type=Told)
    for pid, ago in ((1, 1.0), (2, 60.0), (3, KEPT * TICK + 60.0)):
        other = Told(now(pid, time.time() - ago), told.ticks)
        (tmp_path / f"{pid}.figures").write_bytes(msgspec.json.encode(other))
    (tmp_path / "4.figures").write_bytes(b"half a fi")
    (tick,), workers = figures.all()
    assert tick.statuses == [3, 0, 0, 0]
    assert {worker.pid for worker in workers} == {os.getpid(), 1}
    assert not (tmp_path / "3.figures").exists()
