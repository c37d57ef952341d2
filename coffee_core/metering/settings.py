"""Bounds of metering."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class MeteringSettings(BaseSettings):
    """How long what is known about limits is believed."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_METERING_", frozen=True, use_attribute_docstrings=True)

    grant_seconds: float = Field(default=5.0, ge=0)
    """How long a process believes in a limit that it has read: a lowered limit, or a contract that was ended early,
    counts after that. A raised one counts at once."""
    grants_kept: int = Field(default=50_000, ge=1)
    """Limits that a process remembers, one for each partner and namespace."""
