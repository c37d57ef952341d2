"""Settings of the PostgreSQL side."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class DatabaseSettings(BaseSettings):
    """How to reach PostgreSQL and how much of it one process may take."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_DATABASE_", use_attribute_docstrings=True)

    url: SecretStr = SecretStr("")
    """`postgresql://user:password@host:port/name`, or `postgresql:///name?host=/folder/of/the/socket`."""
    read_url: SecretStr = SecretStr("")
    """A replica for reads that need no transaction; empty, or the same as `url`: the primary serves them."""
    read_after_write_seconds: float = Field(default=5.0, ge=0)
    """How long after a write a partner's reads go to the primary, in this process; longer than the replica lags. With 0
    only the request that wrote reads its own writes."""
    read_rest_seconds: float = Field(default=5.0, gt=0)
    """How long a replica that failed a read is left alone; the primary serves meanwhile."""
    pool_min: int = Field(default=2, ge=0, le=1000)
    """Connections opened at start."""
    pool_max: int = Field(default=10, ge=1, le=1000)
    """Connections one process holds at most."""
    pool_waiters: int = Field(default=1000, ge=0)
    """Requests that may wait for a connection; one more is answered 503 at once."""
    pool_wait_seconds: float = Field(default=5.0, gt=0)
    """How long one waits for a connection before 503."""
    connect_seconds: float = Field(default=5.0, gt=0)
    """How long opening a connection may take."""
    streams_max: int = Field(default=2, ge=1)
    """Exports that may read at the same time, each on a connection beside the pool."""
    stream_batch: int = Field(default=500, ge=1)
    """Rows of one batch of an export: it holds one that is written out, and the next that is on its way."""
    stream_bytes: int = Field(default=1_048_576, ge=1)
    """Bytes of one block of rows that PostgreSQL itself writes as text, for an export as Parquet: three are held."""
    statements_per_connection: int = Field(default=500, ge=10)
    """Prepared statements kept on one connection; past that they are prepared anew."""
    idle_in_transaction_seconds: float = Field(default=60.0, gt=0)
    """PostgreSQL ends a transaction that waits longer than this for its next statement."""
    client_check_seconds: float = Field(default=2.0, ge=0)
    """PostgreSQL looks this often whether the process that runs a statement is still there, and ends the statement if
    it is not; 0 never looks."""
