"""What messaging counts in one process: plain to bump, readable by Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_COUNTERS = {
    "published": ("coffee_events_published", "After-commit events that the broker has stored.", ["topic"]),
    "lost": ("coffee_events_lost", "After-commit events that were lost, by reason.", ["topic", "reason"]),
    "relayed": ("coffee_outbox_relayed", "Messages of the outbox that the broker has stored.", ["topic"]),
    "refused": ("coffee_outbox_refused", "Messages of the outbox that were set aside.", ["topic"]),
    "handled": (
        "coffee_messages_handled",
        "Messages by listener and outcome: done, repeated, again, dead, dropped.",
        ["listener", "outcome"],
    ),
    "retried": ("coffee_messages_retried", "Further attempts at handling.", ["listener"]),
    "jobs": ("coffee_jobs", "Runs of jobs, by outcome.", ["job", "outcome"]),
}


class MessagingStats(Collector):
    """Made once for a process and given to the bus, the relay and the listeners."""

    def __init__(self) -> None:
        self.published: Counter[tuple[str, ...]] = Counter()
        self.lost: Counter[tuple[str, ...]] = Counter()
        self.relayed: Counter[tuple[str, ...]] = Counter()
        self.refused: Counter[tuple[str, ...]] = Counter()
        self.handled: Counter[tuple[str, ...]] = Counter()
        self.retried: Counter[tuple[str, ...]] = Counter()
        self.jobs: Counter[tuple[str, ...]] = Counter()
        self.waiting: Callable[[], int] = int
        """After-commit events in memory, now."""
        self.outbox_waiting = 0
        """Messages in the outbox when it was last looked at, counted up to 10,000."""
        self.outbox_lag = 0.0
        """Age of its oldest message then, in seconds."""

    def collect(self) -> Iterable[Metric]:
        """Prometheus's collector protocol."""
        for attribute, (name, text, labels) in _COUNTERS.items():
            counter = CounterMetricFamily(name, text, labels=labels)
            counts: Counter[tuple[str, ...]] = getattr(self, attribute)
            for values, count in list(counts.items()):
                counter.add_metric(values, count)
            yield counter
        yield GaugeMetricFamily("coffee_events_waiting", "After-commit events that wait in memory.", self.waiting())
        yield GaugeMetricFamily("coffee_outbox_waiting", "Messages in the outbox, up to 10,000.", self.outbox_waiting)
        yield GaugeMetricFamily("coffee_outbox_lag_seconds", "Age of the outbox's oldest message.", self.outbox_lag)
