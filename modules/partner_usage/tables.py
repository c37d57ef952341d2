"""The names of this module's tables."""

from typing import Final

from coffee_core.metering.tables import UsageTables

TABLES: Final = UsageTables(
    counters="partner_usage.partner_usage",
    once="partner_usage.partner_profile_page_track",
    activities="partner_usage.activity_tracker",
)
