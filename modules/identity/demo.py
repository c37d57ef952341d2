"""Partners and people to try the platform with. Only `coffee demo` makes them: elsewhere no credential exists."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from coffee_core.persistence.unit_of_work import begin_transaction
from coffee_core.rest.container import Container
from modules.identity.cached import plan_key
from modules.identity.entity import AccountStatus
from modules.identity.entry import PlanType
from modules.identity.parts import Parts, parts_of
from modules.identity.plan import GIVES_PLAN
from modules.identity.system import own_work

PASSWORD = "coffee-demo"  # noqa: S105 - of demo users alone, and printed; refused as anybody's new password
SINCE = datetime(2024, 1, 1, tzinfo=UTC)


class Resident(NamedTuple):
    """A partner of the demo, with an account, a user and a contract of the same number."""

    id: int
    name: str
    email: str
    plan: PlanType | None
    limits: Mapping[str, int]


RESIDENTS = (
    Resident(0, "Platform", "operator@example.com", None, {}),
    Resident(1, "Free Partner", "free@example.com", "FREE", {"DISCOVERY": 10, "PROFILE_PAGE": 5}),
    Resident(
        2, "SaaS Partner", "saas@example.com", "SAAS",
        {"DISCOVERY": 1000, "CAMPAIGN_REPORT": 100, "PROFILE_PAGE": 500, "ACCOUNT_TRACKING": 50},
    ),
    Resident(
        3, "Paid Partner", "paid@example.com", "PAID",
        {"DISCOVERY": 100_000, "CAMPAIGN_REPORT": 10_000, "PROFILE_PAGE": 50_000, "ACCOUNT_TRACKING": 5000},
    ),
)  # fmt: skip
FIRST_ACCOUNT = 1
"""Ids of accounts and users are one more than their partner's: none is 0."""


async def load_demo(container: Container) -> None:
    """Make what is missing and put back what was changed; a second time nothing happens."""
    parts = parts_of(container)
    try:
        async with own_work():
            found = parts.users.across_partners().with_disabled()
            hashes = {user.id: user.password_hash for user in await found.all_entities()}
        for resident in RESIDENTS:
            stored = hashes.get(resident.id + FIRST_ACCOUNT)
            known = stored is not None and (await parts.hasher.verify(PASSWORD, stored)).good
            password_hash = stored if known and stored else await parts.hasher.hash(PASSWORD)
            async with own_work():
                await _settle(parts, resident, password_hash)
    finally:
        await parts.close()


async def _settle(parts: Parts, resident: Resident, password_hash: str) -> None:
    begin_transaction()
    id = resident.id + FIRST_ACCOUNT
    await parts.partners.upsert([{"id": resident.id, "name": resident.name}], ("id",))
    account = {"id": id, "partner_id": resident.id, "name": resident.name, "status": AccountStatus.ACTIVE}
    await parts.accounts.across_partners().upsert([account], ("id",))
    user = {
        "id": id, "partner_id": resident.id, "account_id": id, "enabled": True, "email": resident.email,
        "name": resident.name, "password_hash": password_hash,
    }  # fmt: skip
    await parts.users.across_partners().upsert([user], ("id",))
    if resident.plan is None:
        return
    contract = {
        "id": id, "partner_id": resident.id, "contract_type": GIVES_PLAN, "plan": resident.plan, "start_time": SINCE,
        "end_time": None,
        "configurations": {name: {"limit": limit, "frequency": "monthly"} for name, limit in resident.limits.items()},
    }  # fmt: skip
    written, _ = await parts.contracts.across_partners().upsert([contract], ("id",))
    if written.rows:
        await parts.cached.changed(plan_key(resident.id))
