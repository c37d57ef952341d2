"""Settings of this module."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class DiscoverySettings(BaseSettings):
    """Bounds of what one request may ask for."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_DISCOVERY_", frozen=True, use_attribute_docstrings=True)

    points_max: int = Field(default=1100, ge=1, le=20_000)
    """Points of one time series; the default is three years of days."""
    locations_max: int = Field(default=50, ge=1, le=1000)
    """Places that one look-up of locations answers."""
    similar_followers_factor: float = Field(default=4.0, gt=1)
    """A similar account has at most so many times the followers, and at least that part of them."""
    rollup_seconds: float = Field(default=3600.0, ge=60)
    """Between two rollups of contents into the time series of their profiles."""
