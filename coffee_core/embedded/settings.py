"""Settings of the embedded servers."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class EmbeddedSettings(BaseSettings):
    """Where the servers' programs are, and how long they may take."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_EMBEDDED_", frozen=True)

    postgres_bin: Path | None = None
    """Folder with `initdb` and `postgres`, 15 or later: `pg_config --bindir` names it; unset, the wheel's."""

    valkey_server: Path | None = None
    """A `valkey-server` or `redis-server`; unset, the wheel's."""

    nats_server: Path | None = None
    """A `nats-server`; unset, the wheel's."""

    start_seconds: float = Field(default=30.0, gt=0)
    """A server that does not answer within this time has failed to start. Seconds."""

    stop_seconds: float = Field(default=5.0, gt=0)
    """A server that has not stopped by itself within this time is killed. Seconds."""

    lock_seconds: float = Field(default=5.0, ge=0)
    """How long to wait for a data folder that others still use: a killed parent's servers need a moment. Seconds."""

    clickhouse_queries: int = Field(default=4, ge=1, le=64)
    """ClickHouse queries that run at once; further ones wait their turn, first come, first served."""

    clickhouse_queue: int = Field(default=256, ge=1)
    """ClickHouse queries that may wait; one more is refused with TOO_MANY_SIMULTANEOUS_QUERIES (202)."""

    clickhouse_idle_seconds: float = Field(default=60.0, ge=0)
    """ClickHouse ends after so long without a request, and starts again (0.3 to 0.4 s) with the next one; its 180 MB
    are free meanwhile. 0: it stays. Seconds."""

    clickhouse_body_bytes: int = Field(default=1 << 30, ge=1 << 16)
    """Largest request body that the ClickHouse front takes, after decompression. Bytes; it is spooled to disk."""
