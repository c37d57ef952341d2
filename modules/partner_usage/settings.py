"""Settings of this module."""

from pydantic import Field, NonNegativeInt
from pydantic_settings import BaseSettings, SettingsConfigDict

from modules.partner_usage.entry import Namespace


class PartnerUsageSettings(BaseSettings):
    """What is free, and how often counters are tidied."""

    model_config = SettingsConfigDict(env_prefix="COFFEE_PARTNER_USAGE_", frozen=True, use_attribute_docstrings=True)

    free_limits: dict[Namespace, NonNegativeInt] = {"DISCOVERY": 10, "PROFILE_PAGE": 5}
    """What a partner without a running contract may use in each month of the calendar (UTC), as JSON; what is not named
    he may not use at all."""
    reset_seconds: float = Field(default=60.0, gt=0)
    """How often the reset job begins the periods that are due. Uses do not wait for it: a period begins by itself."""
