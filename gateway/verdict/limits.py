"""Step 5: how often. Which quotas count a request, and what they say together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from coffee_core.domain.plan import Plan
from gateway.verdict.meter import Meter
from gateway.verdict.quota import Per
from gateway.verdict.settler import Settler
from gateway.verdict.token import Claims


class RouteLimit(NamedTuple):
    """A limit of which routes name; a quota for each plan, or one for all."""

    per: Per
    meters: Mapping[Plan, Meter]

    def of(self, plan: Plan, claims: Claims | None, address: str, route: str) -> tuple[Meter, str] | None:
        """Whose count it is; `None` for an anonymous caller where it counts those that are known."""
        if self.per is Per.ADDRESS:
            caller = address
        elif self.per is Per.ROUTE:
            caller = route
        elif claims is None:
            return None
        elif self.per is Per.USER:
            caller = claims.uid
        elif self.per is Per.PARTNER:
            caller = claims.partner_id
        else:
            caller = plan.name
        return self.meters[plan], caller


class Limits:
    """All meters of one process."""

    def __init__(
        self,
        addresses: Meter,
        partners: Mapping[Plan, Meter],
        named: Mapping[str, RouteLimit] | None = None,
        settler: Settler | None = None,
    ) -> None:
        self.addresses = addresses
        self.partners = dict(partners)
        self.settler = settler
        self._named = dict(named or {})

    def of_route(self, names: Sequence[str]) -> list[RouteLimit]:
        """Those that a route names."""
        return [self._named[name] for name in names]

    def meters(self) -> dict[str, list[Meter]]:
        """By the name of the limit, for metrics."""
        found = {"address": [self.addresses], "partner": list(self.partners.values())}
        found |= {name: list(dict.fromkeys(limit.meters.values())) for name, limit in self._named.items()}
        return found


class LimitCollector(Collector):
    """What limits refuse, for a Prometheus registry."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def collect(self) -> Iterator[Metric]:
        """The families, read now."""
        refused = CounterMetricFamily("gateway_limit_refusals", "Requests over a limit.", labels=["limit"])
        for name, meters in self._limits.meters().items():
            refused.add_metric([name], sum(meter.refused for meter in meters))
        yield refused
        settler = self._limits.settler
        if settler is not None:
            alone = GaugeMetricFamily("gateway_limits_alone", "1 while this process counts limits by itself.")
            alone.add_metric([], float(settler.alone))
            yield alone
            trips = CounterMetricFamily("gateway_limit_claims", "Questions to Redis about limits.")
            trips.add_metric([], settler.trips)
            yield trips
