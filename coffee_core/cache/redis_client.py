"""One way to open Redis: a single server or a cluster, by URL, with every wait bounded."""

from __future__ import annotations

from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

AnyRedis: TypeAlias = Redis | RedisCluster

CLUSTER_SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}


def server_urls(url: str) -> list[str]:
    """One plain URL for each server that the URL names: `redis+cluster://a:7000,b:7000` names two."""
    parts = urlsplit(url)
    if parts.scheme not in CLUSTER_SCHEMES:
        return [url]
    credentials, at, hosts = parts.netloc.rpartition("@")
    scheme = CLUSTER_SCHEMES[parts.scheme]
    return [urlunsplit((scheme, credentials + at + host, "", parts.query, "")) for host in hosts.split(",")]


def open_redis(url: str, *, timeout: float, max_connections: int) -> AnyRedis:
    """A client for `redis://`, `rediss://`, `unix://` or `redis+cluster://host:port,host:port`; opens nothing yet.

    `timeout` bounds each connect and each answer. A connection that the server closed while it was idle is opened
    anew once; a time-out is not tried again.
    """
    urls = server_urls(url)
    if len(urls) == 1 and urls[0] == url:
        return _server(url, timeout, max_connections, retries=1)
    nodes = [urlsplit(each) for each in urls]
    first = nodes[0]
    return RedisCluster(
        startup_nodes=[ClusterNode(node.hostname or "127.0.0.1", node.port or 6379) for node in nodes],
        username=first.username,
        password=first.password,
        ssl=first.scheme == "rediss",
        max_connections=max_connections,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=_retry(1),
        protocol=2,
    )


def open_server(url: str, *, timeout: float, max_connections: int) -> Redis:
    """A client for one server, of a cluster or alone, that never reconnects by itself: for pub/sub, where a silent
    reconnect is a silent loss. A cluster carries pub/sub to all its servers.
    """
    return _server(url, timeout, max_connections, retries=0)


def _server(url: str, timeout: float, max_connections: int, *, retries: int) -> Redis:
    return Redis.from_url(
        url,
        max_connections=max_connections,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=_retry(retries),
        protocol=2,
    )


def _retry(retries: int) -> Retry:
    return Retry(NoBackoff(), retries, supported_errors=(RedisConnectionError,))
