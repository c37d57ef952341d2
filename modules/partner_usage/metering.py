"""The platform's meter: counts in this module's tables by the partners' contracts."""

from __future__ import annotations

from typing import Final, get_args

from coffee_core.metering.ledger import Ledger
from coffee_core.metering.memory import MemoryLedger
from coffee_core.metering.meter import Meter
from coffee_core.metering.postgres import PostgresLedger
from coffee_core.metering.settings import MeteringSettings
from coffee_core.rest.container import Container
from coffee_core.stores.postgres.store import PostgresStore
from modules.partner_usage.entry import Namespace
from modules.partner_usage.grants import ContractGrants
from modules.partner_usage.needs import Contracts
from modules.partner_usage.settings import PartnerUsageSettings
from modules.partner_usage.tables import TABLES

LIMITED: Final[tuple[Namespace, ...]] = get_args(Namespace)
"""What is counted."""
RECORDED: Final = ("DISCOVERY", "CAMPAIGN_REPORT", "TOPIC_RESEARCH")
"""What is kept in `activity_tracker`."""


def make_meter(container: Container) -> Meter:
    """To be met as `Meter` by the wiring, once `Contracts` is met."""
    store = container.store
    ledger: Ledger = PostgresLedger(store.pool, TABLES) if isinstance(store, PostgresStore) else MemoryLedger()
    contracts = container.need(Contracts)  # type: ignore[type-abstract]  # mypy #4717: a Protocol as a key
    return Meter(
        ledger,
        ContractGrants(contracts, container.settings(PartnerUsageSettings)),
        settings=container.settings(MeteringSettings),
        namespaces=LIMITED,
        recorded=RECORDED,
    )
