"""Bounds and time-outs between the gateway and its upstreams. All times are in seconds, all sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

from coffee_core.resilience.breaker import BreakerPolicy
from gateway.data_plane.cache_rules import CacheSettings

Positive = Annotated[int, Gt(0)]
NotNegative = Annotated[int, Ge(0)]
Seconds = Annotated[float, Gt(0)]


Percent = Annotated[float, Ge(0), Le(100)]


NamedHeader = Annotated[str, StringConstraints(pattern=r"^([!#-9A-Z^-z|~-]+: *[!-~]+)?$")]
"""`name: value`; empty is none."""


def named_header(text: str) -> tuple[bytes, bytes] | None:
    """As it stands in a head that was read: the name in lower case."""
    name, _, value = text.partition(":")
    return (name.strip().lower().encode(), value.strip().encode()) if name else None


class CanarySettings(BaseModel):
    """Another version of an upstream, for a part of its requests."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    targets: Annotated[tuple[str, ...], MinLen(1)]
    """Where it listens, as upstreams are written."""

    percent: Percent = 0.0
    """The share of users whose requests go there."""

    header: NamedHeader = ""
    """`name: value` of a request that goes there whoever sends it; anybody may. Empty: none does."""


class MirrorSettings(BaseModel):
    """Where copies of an upstream's requests go. They carry the caller's identity: it must be as trusted
    as the upstream."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    targets: Annotated[tuple[str, ...], MinLen(1)]
    """Where it listens, as upstreams are written."""

    percent: Percent = 100.0
    """The share of requests that are copied."""

    header: NamedHeader = ""
    """`name: value` of a request that is copied whatever its share; with `percent` 0, of the only ones. Anybody may
    send it."""

    methods: frozenset[str] = frozenset({"GET", "HEAD", "OPTIONS"})
    """Only these are. A copy of anything that writes is written twice, unless the mirror has stores of its own."""

    size: Positive = 16 * 1024
    """Larger requests are not copied, nor those that do not arrive whole at once."""

    in_flight: Positive = 32
    """Copies at a time; while there are so many, no further ones are made."""

    timeout: Seconds = 10.0
    """For a copy, from its making to the end of its answer."""


class DataPlaneSettings(BaseSettings):
    """One gateway process's settings; the client's side has `WireSettings`."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_GATEWAY_UPSTREAM_", frozen=True, extra="ignore")

    connections: Positive = 128
    """Connections to one target of an upstream, idle and busy."""

    waiting: NotNegative = 512
    """Requests that wait for a connection to one target; one more is 503."""

    wait_timeout: Seconds = 2.0
    """How long a request waits for a connection; longer is 503."""

    shed_after: Seconds = 1.0
    """A queue that has not been empty for this long is overload and no burst: from then on its newest request is served
    first, and none waits for longer than `shed_wait`."""

    shed_wait: Seconds = 0.1
    """How long a request waits for a connection in overload; longer is 503."""

    concurrency: Mapping[str, Positive] = {}
    """By upstream, as JSON: `{"saas": 200}` requests under way at once, per process; one more is 503. An upstream that
    is not named has the bound of its connections and queues alone."""

    connect_timeout: Seconds = 2.0
    """To open a connection; longer is 504."""

    head_timeout: Seconds = 30.0
    """From a request's last byte to the head of its answer; longer is 504."""

    idle_timeout: Seconds = 120.0
    """Without a byte of an answer that has begun, or of an upgraded connection in either direction; then it is cut."""

    keep_alive: Seconds = 50.0
    """An idle connection is kept this long: shorter than upstreams keep it, so that they seldom close it first."""

    max_head: Positive = 64 * 1024
    """Status line and headers of an answer; longer is 502."""

    max_headers: Positive = 200
    """Header lines of an answer; more is 502."""

    header_lines: Positive = 1024
    """Header lines of up to 128 bytes that are remembered for a target, so as not to be read again; no cookie's."""

    known_heads: NotNegative = 256
    """Heads of answers, of up to 2048 bytes each and without cookies, that are remembered for each target when they
    come a second time, so as not to be read again: what is asked for often is answered alike. 0: none."""

    max_interim: Positive = 8
    """Interim answers (1xx) to one request; more is 502."""

    write_window: Positive = 64 * 1024
    """Bytes of a request that wait for an upstream before reading from its client pauses."""

    replay: Positive = 64 * 1024
    """A request up to this size may be sent again, if it is idempotent and the idle connection it was sent on turns
    out to have been closed, or safe and a new connection was lost before a byte of the answer."""

    replays: NotNegative = 1
    """How often one request may be sent again."""

    retries: NotNegative = 2
    """How often a request of which nothing was sent tries all targets again that refused the connection."""

    retry_delay: Seconds = 0.05
    """The wait before the first retry is up to this long; it doubles with each, and is cut to a random part."""

    retry_longest: Seconds = 1.0
    """The longest of those waits."""

    retry_ratio: Annotated[float, Ge(0), Le(1)] = 0.1
    """Retries and replays of an upstream, as a part of the requests that it answered."""

    retry_rate: Annotated[float, Ge(0)] = 1.0
    """And this many a second besides, for services that are seldom asked."""

    retry_burst: Positive = 10
    """How many may be saved up."""

    eject_after: Positive = 3
    """Consecutive failures of a target after which others are preferred."""

    eject_for: Seconds = 5.0
    """How long they are; then it is tried again, with one request at a time until it answers."""

    health_path: Annotated[str, StringConstraints(pattern=r"^(/[!-~]*)?$")] = ""
    """Path that every target is asked for regularly, for example `/health/ready`; empty: none is."""

    health_interval: Seconds = 5.0
    """From the end of one check to the next, give or take a fifth."""

    health_timeout: Seconds = 2.0
    """For a check, connection included; longer is a failure."""

    healthy_after: Positive = 2
    """Consecutive good checks that bring a target back, an ejected one too."""

    unhealthy_after: Positive = 3
    """Consecutive bad checks that eject a target until they are good again."""

    breaker_window: Seconds = 10.0
    """The recent past that a group's circuit breaker judges by."""

    breaker_requests: Positive = 20
    """Fewer requests in the window say nothing: the breaker stays closed."""

    breaker_ratio: Annotated[float, Gt(0), Le(2)] = 0.5
    """The part of the window's requests that must have failed for the breaker to open; 2 never opens it. Failed is a
    request that ended in 502 or 504 of ours, one whose answer was broken off, and one of `failure_statuses`."""

    breaker_open: Seconds = 5.0
    """How long an open breaker refuses everything, with 503 and Retry-After; then it is half open. Probes that have
    not ended after this time are not waited for."""

    breaker_probes: Positive = 3
    """Requests that pass a half-open breaker: if all are answered it closes, the first failure opens it again."""

    failure_statuses: frozenset[int] = frozenset({502, 504})
    """Answers of an upstream that count as its failure, of 500 and above. 500 and 503 are left out: one broken route,
    or one dependency that a module misses, must not close the whole service to everybody."""

    canaries: Mapping[str, CanarySettings] = {}
    """By upstream, as JSON: `{"saas": {"targets": ["http://canary:7179"], "percent": 5, "header": "x-canary: 1"}}`."""

    mirrors: Mapping[str, MirrorSettings] = {}
    """By upstream, as JSON: `{"saas": {"targets": ["http://mirror:7179"], "percent": 10}}`."""

    cache_routes: Mapping[str, CacheSettings] = {}
    """By route, as JSON: `{"shared-posts": {"scope": "everybody", "seconds": 10, "coalesce": true}}` keeps GET answers;
    no other route's are. See `gateway.data_plane.cache_rules`."""

    cache_bytes: Positive = 32 * 1024 * 1024
    """Of all kept answers, per process; those used least recently go first."""

    cache_answer_bytes: Positive = 1024 * 1024
    """A longer answer is neither kept nor shared. Of a shared one as much waits in memory for a client that reads
    slowly: those who wait for the same answer do not wait for him."""

    upgrades: frozenset[str] = frozenset({"websocket"})
    """Protocols that a connection may be upgraded to. Another upgrade is ignored, `h2c` above all: it would carry
    requests past the verdict."""

    @property
    def breaker_policy(self) -> BreakerPolicy:
        """Of each upstream group."""
        return BreakerPolicy(
            window=self.breaker_window,
            requests=self.breaker_requests,
            ratio=self.breaker_ratio,
            open=self.breaker_open,
            probes=self.breaker_probes,
        )


class AccessLogSettings(BaseSettings):
    """Where the access log goes."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_GATEWAY_ACCESS_LOG_", frozen=True, extra="ignore")

    path: Path | None = None
    """A file that lines are appended to; unset is standard output."""

    enabled: bool = True
    """Off: no access log."""

    sample: Annotated[float, Ge(0), Le(1)] = 1.0
    """The share of lines that are kept, 0.01 is every hundredth. Whatever failed, was refused (400 and above), was
    broken off or took longer than `slow` is kept in any case; of the others each line says its share in `sample`."""

    slow: Seconds = 1.0
    """A request that takes longer is kept whatever the sample."""

    pending: Positive = 16 * 1024 * 1024
    """Bytes that wait for a slow disk or pipe; beyond, lines are dropped and counted."""
