"""What may be kept of an answer, for whom, and for how long: a subset of RFC 9111 that errs towards asking again.

Only GET, only whole answers, only while fresh: nothing is revalidated and nothing stale is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from coffee_core.wire.head import RequestHead, ResponseHead
from gateway.verdict.decision import Forward

Scope = Literal["user", "partner", "plan", "everybody"]


class CacheSettings(BaseModel):
    """For one route: its GET answers may be kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: Scope = "user"
    """Who gets what was answered to one caller: `user`, he alone; `partner`, users of his partner on the same plan;
    `plan`, all on that plan; `everybody`. More than `user` is a promise that the upstream does not look at who asks."""

    seconds: float = Field(default=0.0, ge=0)
    """For how long an answer is fresh that does not say so itself. 0: it is not kept. Seconds."""

    coalesce: bool = False
    """Whether equal requests that come while one is under way wait for its answer, also if it may not be kept after."""


KEPT: Final = frozenset((200, 203, 301, 404, 410))
LONGEST: Final = 86_400.0
"""Seconds that anything is kept at most."""

_IDENTITY: Final = frozenset((b"authorization", b"cookie"))
_CONDITIONS: Final = frozenset((b"range", b"if-match", b"if-unmodified-since", b"if-range"))


def directives(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Of all Cache-Control lines, in lower case; without them of Pragma."""
    value = b",".join([value for name, value in headers if name == b"cache-control"]).lower()
    if not value and any(name == b"pragma" and b"no-cache" in value.lower() for name, value in headers):
        return {b"no-cache": b""}
    parts = [part.strip().partition(b"=") for part in value.split(b",") if part.strip()]
    return {name.strip(): said.strip(b' "') for name, _, said in parts}


def seconds_of(said: bytes | None) -> float | None:
    """Delta-seconds; what is none counts as 0, as RFC 9111 section 4.2.1 has it for what is stale."""
    if said is None:
        return None
    return min(float(said), LONGEST) if said.isdigit() and len(said) < 12 else 0.0


_WRITTEN: Final = frozenset((b"forwarded", b"traceparent", b"tracestate"))
"""What the gateway writes, `x-forwarded-*` beside it: a client's own lines do not say what the upstream was told."""


def cacheable_request(head: RequestHead, decision: Forward) -> bool:
    """Whether its answer may come from a cache, or go into one. Credentials of somebody whom the verdict does not know
    are the upstream's business: such an answer may be his alone."""
    if head.method != b"GET" or head.chunked or head.length or head.upgrade:
        return False
    names = {name for name, _ in head.headers}
    if not decision.passage.uid and not names.isdisjoint(_IDENTITY):
        return False
    return names.isdisjoint(_CONDITIONS)


def shareable(head: ResponseHead, settings: CacheSettings, *, known: bool) -> bool:
    """Whether another request with the same key may get this answer. `known`: it was made for somebody."""
    told = directives(head.headers)
    if head.status not in KEPT or b"no-store" in told or b"no-cache" in told:
        return False
    if any(name == b"set-cookie" for name, _ in head.headers):
        return False
    wide = settings.scope != "user" or not known
    if wide and b"private" in told:
        return False
    varied = varies_by(head)
    if b"*" in varied or any(name in _WRITTEN or name.startswith(b"x-forwarded-") for name in varied):
        return False
    if wide and any(name in _IDENTITY or name.startswith(b"x-bb-") for name in varied):
        return False
    # RFC 9111 section 3.5: what was made for somebody is given to others only if that is said, here or there
    return (
        not (wide and known) or settings.seconds > 0 or bool({b"public", b"s-maxage", b"must-revalidate"} & told.keys())
    )


def freshness(head: ResponseHead, settings: CacheSettings) -> float:
    """For how many seconds from now."""
    told = directives(head.headers)
    named = {name: value for name, value in head.headers if name in {b"age", b"date", b"expires"}}
    explicit = seconds_of(told.get(b"s-maxage")) if settings.scope != "user" else None
    if explicit is None:
        explicit = seconds_of(told.get(b"max-age"))
    if explicit is None and b"expires" in named:
        explicit = _expires(named)
    lifetime = settings.seconds if explicit is None else explicit
    return lifetime - (seconds_of(named.get(b"age")) or 0.0)


def varies_by(head: ResponseHead) -> tuple[bytes, ...]:
    """Names of Vary, sorted."""
    said = b",".join([value for name, value in head.headers if name == b"vary"]).lower()
    return tuple(sorted({name.strip() for name in said.split(b",")} - {b""}))


def varied(names: tuple[bytes, ...], request: RequestHead) -> tuple[bytes, ...]:
    """What a request says in those headers."""
    return tuple([b",".join([value for name, value in request.headers if name == each]) for each in names])


def _expires(named: Mapping[bytes, bytes]) -> float:
    try:
        end = parsedate_to_datetime(named[b"expires"].decode("latin-1"))
        begin = parsedate_to_datetime(named[b"date"].decode("latin-1"))
        return min(max(0.0, (end - begin).total_seconds()), LONGEST)
    except (KeyError, TypeError, ValueError, OverflowError):
        return 0.0
