"""Settings of logs, traces and error tracking."""

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ObservabilitySettings(BaseSettings):
    """What a process tells about itself, and to whom."""

    model_config = SettingsConfigDict(
        env_prefix="COFFEE_",
        frozen=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
        hide_input_in_errors=True,  # a DSN is a secret
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lines below it are not written."""

    log_format: Literal["json", "text"] = "json"
    """`json`: one object a line, for machines. `text`: for a person at a terminal."""

    log_lines_max: int = Field(default=20_000, ge=100)
    """Access-log lines that wait while their destination is slow; past that new ones are dropped and counted."""

    metrics_series_max: int = Field(default=5_000, ge=10)
    """Combinations of labels kept per metric; further ones are counted together as `other`."""

    sentry_dsn: SecretStr | None = None
    """Where errors are reported, with the `sentry` extra installed. Unset: they are logged."""

    environment: str = "development"
    """Named in error reports."""

    tracing: Literal["off", "opentelemetry"] = "off"
    """`opentelemetry`: a span for each request, with the `otel` extra installed; its own OTEL_* variables say where
    spans go. `off`: `traceparent` is still passed on."""
