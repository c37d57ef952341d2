"""Counts and times per route: plain lists while requests run, Prometheus families when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the time buckets, in seconds."""

_WIDTH: Final = len(BOUNDS) + 1


class Series:
    """Of one route, plan and status: how many requests in each time bucket, their seconds and their bytes."""

    __slots__ = ("bytes", "counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * _WIDTH
        self.seconds = 0.0
        self.bytes = 0


class Metrics:
    """One process's. `prometheus_client` collects it: `registry.register(metrics)`.

    The number of series is bounded: routes are the verdict's table, statuses those of HTTP.
    """

    def __init__(self) -> None:
        self.series: dict[tuple[str, bytes, int], Series] = {}
        """By route, plan (empty: none was asked about) and status."""

    def observe(self, route: str, plan: bytes, status: int, seconds: float, size: int) -> None:
        """One request that has ended."""
        series = self.series.get((route, plan, status))
        if series is None:
            series = self.series[route, plan, status] = Series()
        series.counts[bisect_left(BOUNDS, seconds)] += 1
        series.seconds += seconds
        series.bytes += size

    def observe_alike(self, route: str, plan: bytes, status: int, count: int, seconds: float) -> None:
        """So many that have ended together and took so long in all, without a body."""
        series = self.series.get((route, plan, status))
        if series is None:
            series = self.series[route, plan, status] = Series()
        series.counts[bisect_left(BOUNDS, seconds / count)] += count
        series.seconds += seconds

    def collect(self) -> Iterator[Metric]:
        """Of prometheus_client."""
        labels = ("route", "plan")
        requests = CounterMetricFamily("gateway_requests", "Requests that have ended.", labels=(*labels, "status"))
        sizes = CounterMetricFamily("gateway_answer_bytes", "Bytes of answers' bodies.", labels=labels)
        times = HistogramMetricFamily("gateway_request_seconds", "From head to last byte.", labels=labels)
        together: dict[tuple[str, bytes], Series] = {}
        for (route, plan, status), series in self.series.items():
            requests.add_metric((route, plan.decode(), str(status)), sum(series.counts))
            total = together.setdefault((route, plan), Series())
            total.counts = [one + other for one, other in zip(total.counts, series.counts, strict=True)]
            total.seconds += series.seconds
            total.bytes += series.bytes
        for (route, plan), series in together.items():
            named = (route, plan.decode())
            sizes.add_metric(named, series.bytes)
            times.add_metric(named, _cumulative(series.counts), series.seconds)
        yield from (requests, sizes, times)


def _cumulative(counts: list[int]) -> list[tuple[str, float]]:
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip((*(str(bound) for bound in BOUNDS), "+Inf"), counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets
