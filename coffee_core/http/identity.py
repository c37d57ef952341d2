"""Reads who is calling from the gateway's headers, and refuses what the gateway did not say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import time
from typing import Final, NamedTuple, TypeAlias

from coffee_core.domain.errors import ForbiddenError, InputError, UnauthenticatedError
from coffee_core.domain.plan import Plan
from coffee_core.wire.identity import ACCOUNT, IDENTITY, PARTNER, PLAN, USER, BadStatementError, Caller, verify
from coffee_core.wire.message import Headers

PLANS: Final = {plan.name: plan for plan in Plan}
ID_MAX: Final = 2**63 - 1
FOREVER: Final = float("inf")

_Key: TypeAlias = tuple[bytes | None, bytes | None, bytes | None, bytes | None, bytes | None]


class Identity(NamedTuple):
    """A checked caller."""

    partner_id: int
    account_id: int | None
    user_id: int | None
    plan: Plan


class CallerReader:
    """Remembers whom it has checked, as the gateway uses one statement for some seconds.

    With `keys` an identity must come with a statement that is signed by one of them, meant for `audience`, and says
    the same as the plain headers. Without keys the plain headers are believed.
    """

    def __init__(
        self,
        *,
        keys: Sequence[bytes] = (),
        audience: str = "",
        remembered: int = 10_000,
        clock: Callable[[], float] = time,
    ) -> None:
        self._keys = tuple(keys)
        self._audience = audience
        self._remembered = remembered
        self._clock = clock
        self._known: dict[_Key, tuple[Identity, float]] = {}

    def read(self, headers: Headers) -> Identity | None:
        """The caller; None if no identity header is there. Malformed: 400; unproven: 401; contradicted: 403."""
        get = headers.get
        partner, statement = get(PARTNER), get(IDENTITY)
        key = (partner, get(ACCOUNT), get(USER), get(PLAN), statement)
        if partner is None and key == (None, None, None, None, None):
            return None
        known = self._known.get(key)
        if known is not None:
            identity, until = known
            if until == FOREVER or until > self._clock():
                return identity
            del self._known[key]
        return self._check(key)

    def _check(self, key: _Key) -> Identity:
        texts = [_text(value) for value in key]
        caller = Caller(*texts[:4])
        until = self._proven(caller, texts[4]) if self._keys else FOREVER
        if not caller.partner:
            raise InputError("identity headers are there, and x-bb-partner-id is not")
        identity = Identity(
            _id("x-bb-partner-id", caller.partner),
            _id("x-bb-account-id", caller.account) if caller.account else None,
            _id("x-bb-uid", caller.user) if caller.user else None,
            _plan(caller.plan),
        )
        if len(self._known) >= self._remembered:
            del self._known[next(iter(self._known))]
        self._known[key] = identity, until
        return identity

    def _proven(self, caller: Caller, statement: str) -> float:
        """Until when the statement holds, which has to say what the plain headers say."""
        if not statement:
            raise UnauthenticatedError(
                "identity headers are believed only with x-bb-identity: call through the gateway"
            )
        try:
            stated, until = verify(statement, audience=self._audience, keys=self._keys)
        except BadStatementError as error:
            raise UnauthenticatedError(str(error)) from None
        if stated != caller:
            raise ForbiddenError("the identity headers do not agree with x-bb-identity")
        return until


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("latin-1")


def _id(name: str, text: str) -> int:
    """A decimal number from 0 to 2**63 - 1 in its one spelling; two headers of one name are `1, 2`, and so refused."""
    if text.isascii() and text.isdigit() and len(text) <= 19 and (text[0] != "0" or text == "0"):
        number = int(text)
        if number <= ID_MAX:
            return number
    raise InputError(f"{name} must be one decimal number")


def _plan(text: str) -> Plan:
    """No plan is the smallest one."""
    if not text:
        return Plan.FREE
    plan = PLANS.get(text)
    if plan is None:
        raise InputError(f"x-bb-plan-type must be one of {', '.join(PLANS)}")
    return plan
