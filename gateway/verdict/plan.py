"""Step 4: what the caller's partner has bought. Process, Redis `plan:{partnerId}`, identity, in that order."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from coffee_core.domain.errors import UnavailableError
from coffee_core.domain.plan import Plan
from gateway.verdict.identity import IdentityClient, epoch, segment

PREFIX = "plan:"
NONE = frozenset((404,))


class PlanJson(msgspec.Struct):
    """A plan as it stands in Redis and in the authority's answer; further members are ignored."""

    type: Literal["FREE", "SAAS", "PAID"]
    until: float | str | None = None


_read: Final = msgspec.json.Decoder(PlanJson).decode


class Grant(msgspec.Struct, frozen=True):
    """A partner's plan, as it is until `until` (epoch seconds; `None`: until it is changed)."""

    plan: Plan
    until: float | None = None


FREE = Grant(Plan.FREE)
"""Of a partner without a running contract."""


class PlanSource:
    """The authority on plans, for the two-tier cache. Every partner has a plan, so there are no negative entries."""

    def __init__(self, identity: IdentityClient) -> None:
        self._identity = identity

    async def load(self, key: str) -> Grant | None:
        """The plan; without a running contract it is FREE."""
        partner = segment(key.removeprefix(PREFIX))
        found = await self._identity.ask(f"/identity-service/api/partners/{partner}/plan", {}, PlanJson, gone=NONE)
        if not found:
            return FREE
        try:
            return _grant(found[0])
        except ValueError:
            raise UnavailableError("plans cannot be checked at the moment; try again") from None

    def encode(self, value: Grant) -> bytes:
        """As identity itself writes it."""
        return msgspec.json.encode({"type": value.plan.name, "until": value.until})

    def decode(self, raw: bytes) -> Grant:
        """`ValueError` for what is no plan."""
        return _grant(_read(raw))

    def expires(self, value: Grant) -> float | None:
        """The contract's end: nothing is cached past it."""
        return value.until


def _grant(found: PlanJson) -> Grant:
    return Grant(Plan[found.type], epoch(found.until))
