"""What the data plane is doing right now, for Prometheus: read when somebody asks, never written while requests run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from coffee_core.resilience.breaker import State
from gateway.data_plane.cached_forwarding import Caching
from gateway.data_plane.upstreams import Upstream

if TYPE_CHECKING:
    from gateway.data_plane.front import GatewayFront

_TARGET = ("upstream", "target")
_GROUP = ("upstream",)


class Gauges:
    """One front's. `registry.register(Gauges(front))`, in a process that has started it."""

    def __init__(self, front: GatewayFront) -> None:
        self._front = front

    def collect(self) -> Iterator[Metric]:
        """Of prometheus_client."""
        groups = list(self._front.upstreams.groups.values())
        clients = GaugeMetricFamily("gateway_clients", "Connections of clients.")
        clients.add_metric((), len(self._front.connections))
        dropped = CounterMetricFamily("gateway_access_log_dropped", "Lines that the access log could not take.")
        dropped.add_metric((), self._front.log.dropped)
        refused = CounterMetricFamily(
            "gateway_connections_refused", "Connections that ended in a TLS handshake or a proxy's header."
        )
        refused.add_metric((), self._front.refused)
        yield from _cache(self._front.caching)
        yield from (clients, dropped, refused, *_pools(groups), *_breakers(groups))


def _cache(caching: Caching | None) -> Iterator[Metric]:
    if caching is None:
        return
    events = CounterMetricFamily("gateway_answer_cache_events", "What became of requests.", labels=("event",))
    for event, count in caching.events.items():
        events.add_metric((event,), count)
    kept = GaugeMetricFamily("gateway_answer_cache_bytes", "Of kept answers.")
    kept.add_metric((), caching.answers.bytes)
    entries = GaugeMetricFamily("gateway_answer_cache_entries", "Kept answers.")
    entries.add_metric((), len(caching.answers))
    yield from (events, kept, entries)


def _pools(groups: list[Upstream]) -> Iterator[Metric]:
    connections = GaugeMetricFamily(
        "gateway_upstream_connections",
        "Connections to a target; those being opened are busy.",
        labels=(*_TARGET, "state"),
    )
    waiting = GaugeMetricFamily("gateway_upstream_waiting", "Requests that wait for a connection.", labels=_TARGET)
    ejected = GaugeMetricFamily("gateway_upstream_ejected", "1 while a target rests after failures.", labels=_TARGET)
    unhealthy = GaugeMetricFamily("gateway_upstream_unhealthy", "1 while its health checks fail.", labels=_TARGET)
    shed = CounterMetricFamily(
        "gateway_upstream_shed",
        "Requests refused for want of a connection: the queue was full, or the turn did not come in time.",
        labels=(*_TARGET, "reason"),
    )
    bounded = CounterMetricFamily(
        "gateway_upstream_refused", "Requests refused by the bound on those under way.", labels=_GROUP
    )
    for group in groups:
        bounded.add_metric((group.name,), group.refused)
        for pool in group.pools:
            labels = (group.name, str(pool.target))
            for reason, count in pool.shed.items():
                shed.add_metric((*labels, reason), count)
            connections.add_metric((*labels, "idle"), len(pool.idle))
            connections.add_metric((*labels, "busy"), pool.open - len(pool.idle))
            waiting.add_metric(labels, pool.waiting)
            ejected.add_metric(labels, pool.ejected)
            unhealthy.add_metric(labels, pool.unhealthy)
    yield from (connections, waiting, ejected, unhealthy, shed, bounded)


def _breakers(groups: list[Upstream]) -> Iterator[Metric]:
    states = GaugeMetricFamily("gateway_breaker_state", "1 for the state it is in.", labels=(*_GROUP, "state"))
    opened = CounterMetricFamily("gateway_breaker_opened", "How often it has opened.", labels=_GROUP)
    refused = CounterMetricFamily("gateway_breaker_refused", "Requests that it did not let pass.", labels=_GROUP)
    answers = CounterMetricFamily("gateway_upstream_answers", "Requests that were answered.", labels=_GROUP)
    failures = CounterMetricFamily("gateway_upstream_failures", "Requests that were not.", labels=_GROUP)
    retries = CounterMetricFamily(
        "gateway_retries",
        "Connections and requests tried again; denied: the budget was spent.",
        labels=(*_GROUP, "outcome"),
    )
    for group in groups:
        retries.add_metric((group.name, "taken"), group.retries.taken)
        retries.add_metric((group.name, "denied"), group.retries.denied)
        breaker = group.breaker
        for state in State:
            states.add_metric((group.name, state.value), breaker.state is state)
        opened.add_metric((group.name,), breaker.opened)
        refused.add_metric((group.name,), breaker.refused)
        answers.add_metric((group.name,), breaker.answers)
        failures.add_metric((group.name,), breaker.failures)
    copies = CounterMetricFamily("gateway_mirror_copies", "Copies of requests.", labels=(*_GROUP, "outcome"))
    for group in groups:
        if group.mirror is not None:
            copies.add_metric((group.name, "answered"), group.mirror.sent)
            copies.add_metric((group.name, "failed"), group.mirror.failed)
            copies.add_metric((group.name, "dropped"), group.mirror.dropped)
    yield from (copies, states, opened, refused, answers, failures, retries)
