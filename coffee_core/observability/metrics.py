"""Metrics: plain arrays that cost little to change, and Prometheus text made from them when it is asked for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets of a time."""

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"

Label: TypeAlias = str | int
_OTHER: Final = "other"


class Counter:
    """Counts up. `counter.add(1, "tiktok")` is all a module has to say."""

    __slots__ = ("_series_max", "labels", "name", "series", "text")

    def __init__(self, name: str, text: str, labels: Sequence[str], series_max: int) -> None:
        self.name = name
        self.text = text
        self.labels = tuple(labels)
        self.series: dict[tuple[Label, ...], float] = {}
        self._series_max = series_max

    def add(self, amount: float = 1, *labels: Label) -> None:
        """Add `amount` (not negative) to the series of these label values."""
        series = self.series
        if labels in series:
            series[labels] += amount
        else:
            key = _bounded(self, labels, self._series_max)
            series[key] = series.get(key, 0) + amount

    def collect(self) -> Metric:
        """As Prometheus has it."""
        family = CounterMetricFamily(self.name, self.text, labels=self.labels)
        for labels, value in list(self.series.items()):
            family.add_metric([str(label) for label in labels], value)
        return family


class Histogram:
    """Counts values by size. A series is an array: a count for each bucket, then the sum."""

    __slots__ = ("_series_max", "bounds", "labels", "name", "series", "text")

    def __init__(self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float], series_max: int) -> None:
        self.name = name
        self.text = text
        self.labels = tuple(labels)
        self.bounds = tuple(map(float, bounds))
        self.series: dict[tuple[Label, ...], list[float]] = {}
        self._series_max = series_max

    def observe(self, value: float, *labels: Label) -> None:
        """Count `value` in the series of these label values."""
        row = self.series.get(labels)
        if row is None:
            row = self.series.setdefault(_bounded(self, labels, self._series_max), [0.0] * (len(self.bounds) + 2))
        row[bisect_left(self.bounds, value)] += 1
        row[-1] += value

    def collect(self) -> Metric:
        """As Prometheus has it: cumulative buckets."""
        family = HistogramMetricFamily(self.name, self.text, labels=self.labels)
        names = [*(str(bound) for bound in self.bounds), "+Inf"]
        for labels, row in list(self.series.items()):
            total = 0.0
            buckets: list[tuple[str, float]] = []
            for name, count in zip(names, row[:-1], strict=True):
                total += count
                buckets.append((name, total))
            family.add_metric([str(label) for label in labels], buckets, row[-1])
        return family


class Gauge:
    """A value that is asked for when metrics are read."""

    __slots__ = ("name", "read", "text")

    def __init__(self, name: str, text: str, read: Callable[[], float]) -> None:
        self.name = name
        self.text = text
        self.read = read

    def collect(self) -> Metric:
        """As Prometheus has it."""
        return GaugeMetricFamily(self.name, self.text, value=self.read())


class Metrics(Collector):
    """The metrics of one process: made once, handed to whoever counts something. There is no global one.

    Metrics belong to the event loop's thread: nothing here is locked.
    """

    def __init__(self, *, series_max: int = 5_000, process: bool = False) -> None:
        self._series_max = series_max
        self._all: dict[str, Counter | Histogram | Gauge] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        if process:
            ProcessCollector(registry=self._registry)
            PlatformCollector(registry=self._registry)
            GCCollector(registry=self._registry)

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """A counter, made now or before; `name` ends in `_total`."""
        found = self._all.get(name)
        if found is None:
            found = self._all[name] = Counter(name, text, labels, self._series_max)
        if not isinstance(found, Counter) or found.labels != tuple(labels):
            raise ValueError(f"the metric {name} exists already, and is another")
        return found

    def histogram(
        self, name: str, text: str, labels: Sequence[str] = (), bounds: Sequence[float] = SECONDS
    ) -> Histogram:
        """A histogram, made now or before; `bounds` ascend."""
        found = self._all.get(name)
        if found is None:
            found = self._all[name] = Histogram(name, text, labels, bounds, self._series_max)
        if (
            not isinstance(found, Histogram)
            or found.labels != tuple(labels)
            or found.bounds != tuple(map(float, bounds))
        ):
            raise ValueError(f"the metric {name} exists already, and is another")
        return found

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> Gauge:
        """A gauge, whose value `read` gives when it is asked."""
        if name in self._all:
            raise ValueError(f"the metric {name} exists already")
        made = self._all[name] = Gauge(name, text, read)
        return made

    def include(self, collector: Collector) -> None:
        """Show what another collector has, too."""
        self._registry.register(collector)

    def collect(self) -> Iterable[Metric]:
        """All of them: Prometheus's collector protocol."""
        return [metric.collect() for metric in self._all.values()]

    def text(self) -> bytes:
        """The Prometheus text format; its media type is `CONTENT_TYPE`."""
        return generate_latest(self._registry)


def _bounded(metric: Counter | Histogram, labels: tuple[Label, ...], series_max: int) -> tuple[Label, ...]:
    """The labels of a new series, or `other` when there are too many."""
    if len(labels) != len(metric.labels):
        raise ValueError(f"{metric.name} has the labels {', '.join(metric.labels) or 'none'}; {len(labels)} were given")
    return labels if len(metric.series) < series_max else (_OTHER,) * len(labels)
