"""Counters of the cache, plain to bump on the hot path and readable by Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from coffee_core.cache.link import InvalidationLink


@dataclass(slots=True)
class CacheStats:
    """Counts since the start of one cache in one process."""

    hits: int = 0
    """Look-ups in process that found a fresh value."""
    misses: int = 0
    """Those that did not and went on to Redis or the authority."""
    joined: int = 0
    """Misses that waited for a load already in flight."""
    remote_hits: int = 0
    """Answers by Redis."""
    remote_down: int = 0
    """Redis did not answer in time."""
    loads: int = 0
    """Questions to the authority."""
    load_errors: int = 0
    """Those without an answer."""
    stale: int = 0
    """Values past their freshness that stood in."""
    invalidations: int = 0
    """Keys dropped by push."""
    outrun: int = 0
    """Loads whose result was not kept, because an invalidation arrived meanwhile."""
    drops: int = 0
    """Times the whole in-process tier was dropped."""
    unreadable: int = 0
    """Values in Redis that could not be read."""


BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Lag:
    """A histogram of seconds from publish to receipt."""

    __slots__ = ("counts", "last", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0
        self.last = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds
        self.last = seconds

    def cumulative(self) -> Iterator[tuple[str, float]]:
        """Prometheus's form: how many were at most so long."""
        running = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self.counts, strict=True):
            running += count
            yield bound, float(running)


class CacheCollector(Collector):
    """All caches and the link of one process, for a Prometheus registry."""

    def __init__(
        self, caches: Iterable[tuple[str, CacheStats]], link: InvalidationLink | None = None, *, prefix: str = "coffee"
    ) -> None:
        self._caches = caches
        self._link = link
        self._prefix = prefix

    def collect(self) -> Iterator[Metric]:
        """The families, read now."""
        events = CounterMetricFamily(
            f"{self._prefix}_cache_events", "What happened in a cache.", labels=["cache", "event"]
        )
        for name, stats in self._caches:
            for field in fields(stats):
                events.add_metric([name, field.name], getattr(stats, field.name))
        yield events
        ratio = GaugeMetricFamily(
            f"{self._prefix}_cache_hit_ratio", "Look-ups that were answered in process, of all.", labels=["cache"]
        )
        for name, stats in self._caches:
            ratio.add_metric([name], stats.hits / max(1, stats.hits + stats.misses))
        yield ratio
        if self._link is None:
            return
        link = self._link
        doubt = GaugeMetricFamily(f"{self._prefix}_invalidation_link_in_doubt", "1 while pushes may be lost.")
        doubt.add_metric([], float(link.in_doubt))
        yield doubt
        lag = HistogramMetricFamily(
            f"{self._prefix}_revocation_lag_seconds", "From the revocation of a canary to its end in this process."
        )
        lag.add_metric([], list(link.lag.cumulative()), link.lag.total)
        yield lag
