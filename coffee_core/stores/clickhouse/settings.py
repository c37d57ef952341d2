"""Settings of the ClickHouse side."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ClickHouseSettings(BaseSettings):
    """How to reach ClickHouse and how much of it one process may take."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_CLICKHOUSE_", use_attribute_docstrings=True)

    url: SecretStr = SecretStr("")
    """`http://user:password@host:8123/database`, or https. Unset: what needs ClickHouse is answered 503."""
    connect_seconds: float = Field(default=5.0, gt=0)
    """How long opening a connection may take."""
    query_seconds: float = Field(default=30.0, gt=0)
    """How long a statement may run; a request's own deadline may be nearer."""
    stream_seconds: float = Field(default=3600.0, gt=0)
    """How long an export may run."""
    stream_batch: int = Field(default=2000, ge=1)
    """Rows an export hands on at a time."""
    rows_max: int = Field(default=100_000, ge=1)
    """Rows one answer may have; an export has no such bound, it is streamed."""
    connections_max: int = Field(default=20, ge=1, le=1000)
    """Statements that one process runs at the same time."""
    waiters_max: int = Field(default=500, ge=0)
    """Statements that may wait for their turn; one more is answered 503 at once."""
    wait_seconds: float = Field(default=5.0, gt=0)
    """How long one waits for its turn before 503."""
