"""How full the database's connection pools are, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from coffee_core.persistence.pool import Pool

_GAUGES: tuple[tuple[str, str, Callable[[Pool], float]], ...] = (
    ("coffee_db_pool_max", "Connections that the pool may open.", lambda pool: pool.settings.pool_max),
    ("coffee_db_pool_open", "Connections that are open.", lambda pool: pool.size),
    ("coffee_db_pool_in_use", "Connections that work for a request.", lambda pool: pool.size - len(pool.idle)),
    ("coffee_db_pool_waiting", "Requests that wait for a connection.", lambda pool: pool.waiting),
)


class PoolStats(Collector):
    """`pools` by name (`primary`, `replica`). Saturation is `coffee_db_pool_in_use / coffee_db_pool_max`; who waits and
    who was refused says the rest."""

    def __init__(self, pools: Mapping[str, Pool]) -> None:
        self._pools = pools

    def collect(self) -> Iterable[Metric]:
        """Prometheus's collector protocol."""
        for name, text, read in _GAUGES:
            gauge = GaugeMetricFamily(name, text, labels=["pool"])
            for pool_name, pool in self._pools.items():
                gauge.add_metric([pool_name], read(pool))
            yield gauge
        refused = CounterMetricFamily(
            "coffee_db_pool_refused", "Requests that got no connection: 503.", labels=["pool"]
        )
        for pool_name, pool in self._pools.items():
            refused.add_metric([pool_name], pool.refused)
        yield refused
