"""Bounds of the caches of a process's modules."""

from __future__ import annotations

from pydantic import Field, PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class CacheSettings(BaseSettings):
    """The caches that modules make with `Caches`."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_CACHE_", frozen=True, extra="ignore")

    redis_url: SecretStr | None = Field(default=None, validation_alias="COFFEE_REDIS_URL")
    """The tier behind and the push to other processes. None: each process caches for itself, and what another changes
    is seen when a lifetime ends (`doubt_seconds`)."""

    max_bytes: PositiveInt = 32 * 1024 * 1024
    """In process, for each cache."""

    fresh_seconds: float = Field(default=60.0, gt=0)
    """In process, while the push link is sound."""

    negative_seconds: float = Field(default=5.0, gt=0)
    """In process and in Redis, of "there is none"."""

    doubt_seconds: float = Field(default=2.0, ge=0)
    """In process, while pushes may be lost or there is no Redis."""

    remote_seconds: float = Field(default=300.0, gt=0)
    """In Redis."""

    stale_seconds: float = Field(default=60.0, ge=0)
    """A value may stand in for so long past its freshness while neither Redis nor its source answers."""

    load_seconds: float = Field(default=2.0, gt=0)
    """For an answer of the source."""

    redis_timeout_seconds: float = Field(default=0.25, gt=0)
    """For an answer of Redis, waiting for a connection included."""

    redis_connections: PositiveInt = 16
    """To Redis, for all caches of the process."""
