"""Settings of this module."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ActivitySettings(BaseSettings):
    """How long activity is kept."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_ACTIVITY_", frozen=True, use_attribute_docstrings=True)

    keep_days: int = Field(default=365, ge=1)
    """Activity older than this is deleted."""
