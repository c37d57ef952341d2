"""The names that every process of the platform agrees on, and the settings of `coffee up` itself."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class PlatformSettings(BaseSettings):
    """Where the parts are and which secrets they share. `coffee up` fills in what is unset, for all its children."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_", frozen=True)

    database_url: SecretStr | None = None
    """PostgreSQL 15 or later: `postgresql://user:password@host:5432/name`. Unset: the embedded one."""

    database_read_url: SecretStr | None = None
    """A replica for reads that need no transaction. Unset: the database itself."""

    clickhouse_url: SecretStr | None = None
    """ClickHouse over HTTP: `http://user:password@host:8123/name`. Unset: the embedded one."""

    redis_url: SecretStr | None = None
    """Redis or Valkey, single or cluster: `redis://host:6379/0`, `unix:///path`. Unset: the embedded one."""

    broker_url: SecretStr | None = None
    """The broker: `amqp://`, `nats://` or `redis://`. Unset: the embedded NATS."""

    jwt_secret: SecretStr | None = None
    """Signs access tokens (HS256). Unset: made at the first start and kept in the data folder."""

    identity_signing_key: SecretStr | None = None
    """Signs `x-bb-identity`, by which the modules know that the gateway speaks. Unset: as above."""

    cursor_key: SecretStr | None = None
    """Signs page cursors. Unset: as above."""

    saas_url: str | None = None
    """Where the gateway finds the modules' process."""

    saas_data_url: str | None = None
    """Where the gateway finds the data process, which serves `social-profile-service` alone."""

    identity_url: str | None = None
    """Where the gateway finds the authority on sessions and plans."""

    gateway_port: int = Field(default=8009, ge=1, le=65535)
    """The gateway's port; `coffee up` takes the next free one if it is taken, and says so."""

    modules_port: int = Field(default=7179, ge=1, le=65535)
    """The modules' port."""

    data_port: int = Field(default=7180, ge=1, le=65535)
    """The data process's port."""

    metrics_port: int = Field(default=9292, ge=1, le=65535)
    """The port of the platform's metrics."""


class UpSettings(BaseSettings):
    """How `coffee up` treats its children."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_UP_", frozen=True)

    folder: Path = Path(".coffee")
    """Data, logs and secrets of the embedded platform; readable by its owner alone."""

    ready_seconds: float = Field(default=60.0, gt=0)
    """A child that does not answer within this time has failed to start. Seconds."""

    drain_seconds: float = Field(default=10.0, gt=0)
    """Time for a child to finish what is in hand before it is killed. Seconds."""

    restart_seconds: float = Field(default=0.5, gt=0)
    """First pause before a child that died is started again; it doubles up to 30 seconds."""

    early_deaths: int = Field(default=3, ge=1)
    """A child that dies this often within `early_seconds` of its start, one time after another, stops the platform."""

    early_seconds: float = Field(default=10.0, gt=0)
    """A child that lived longer than this was up: its count of early deaths starts again. Seconds."""
