"""Whichever worker is asked, it answers for all that live."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from gateway.data_plane.metrics import Metrics
from gateway.data_plane.worker_metrics import WorkerMetrics


def a_worker(folder: Path, requests: int) -> WorkerMetrics:
    """One that has served so many."""
    registry, metrics = CollectorRegistry(), Metrics()
    registry.register(metrics)
    for _ in range(requests):
        metrics.observe("r", b"SAAS", 200, 0.002, 10)
    worker = WorkerMetrics(folder, registry)
    worker.write()
    return worker


def asked(worker: WorkerMetrics) -> str:
    """What it answers."""
    registry = CollectorRegistry()
    registry.register(worker)
    return generate_latest(registry).decode()


def count(worker: int, requests: int) -> str:
    return f'gateway_requests_total{{plan="SAAS",route="r",status="200",worker="{worker}"}} {requests}.0'


def test_each_worker_answers_for_all(tmp_path: Path) -> None:
    workers = [a_worker(tmp_path, 1), a_worker(tmp_path, 20)]
    for worker in workers:
        text = asked(worker)
        assert count(0, 1) in text
        assert count(1, 20) in text
        assert text.count("# TYPE gateway_requests_total counter") == 1
        assert 'gateway_request_seconds_bucket{le="0.0025",plan="SAAS",route="r",worker="1"} 20.0' in text
    for worker in workers:
        worker.close()


def test_one_that_has_ended_is_counted_no_more_and_its_name_is_free(tmp_path: Path) -> None:
    first, second = a_worker(tmp_path, 1), a_worker(tmp_path, 20)
    first.close()
    assert count(0, 1) not in asked(second)
    third = a_worker(tmp_path, 300)
    assert third.slot == 0
    assert count(0, 300) in asked(second)
    second.close()
    third.close()


def test_one_that_was_killed_is_counted_no_more(tmp_path: Path) -> None:
    here = a_worker(tmp_path, 1)
    ready, told = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            a_worker(tmp_path, 20)
            os.write(told, b"x")
            signal.pause()
        finally:
            os._exit(1)
    try:
        assert os.read(ready, 1) == b"x"
        assert count(1, 20) in asked(here)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(told)
    assert 'worker="1"' not in asked(here)
    here.close()
