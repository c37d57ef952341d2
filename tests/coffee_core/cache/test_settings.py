"""URLs, lifetimes and what Prometheus sees."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from coffee_core.cache.lifetimes import Lifetimes
from coffee_core.cache.link import InvalidationLink
from coffee_core.cache.redis_client import server_urls
from coffee_core.cache.stats import CacheCollector, CacheStats


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        pytest.param("redis://h:1/2", ["redis://h:1/2"], id="a single server is itself"),
        pytest.param("unix:///run/redis.sock", ["unix:///run/redis.sock"], id="a socket is itself"),
        pytest.param("redis+cluster://a:1,b:2", ["redis://a:1", "redis://b:2"], id="a cluster names its servers"),
        pytest.param(
            "rediss+cluster://u:p@a:1,b:2", ["rediss://u:p@a:1", "rediss://u:p@b:2"], id="credentials are for each"
        ),
    ],
)
def test_a_url_names_its_servers(url: str, servers: list[str]) -> None:
    assert server_urls(url) == servers


def test_jitter_only_shortens_and_within_its_share() -> None:
    lifetimes = Lifetimes(jitter=0.2)
    drawn = [lifetimes.jittered(100) for _ in range(500)]
    assert all(80 <= seconds <= 100 for seconds in drawn)
    assert len(set(drawn)) > 400


def test_counters_and_lag_are_read_by_prometheus() -> None:
    link = InvalidationLink("redis://127.0.0.1:1/0")
    link.lag.observe(0.003)
    registry = CollectorRegistry()
    registry.register(CacheCollector([("session", CacheStats(hits=7))], link, prefix="gateway"))
    text = generate_latest(registry).decode()
    assert 'gateway_cache_events_total{cache="session",event="hits"} 7.0' in text
    assert 'gateway_revocation_lag_seconds_bucket{le="0.005"} 1.0' in text
    assert "gateway_invalidation_link_in_doubt 1.0" in text
