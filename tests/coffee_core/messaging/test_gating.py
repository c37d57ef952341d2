"""An event carries no more than the plan of whoever raises it includes."""

from __future__ import annotations

from typing import Annotated, ClassVar

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.domain.context import RequestContext
from coffee_core.domain.event import Event
from coffee_core.domain.plan import Gated, Plan
from coffee_core.messaging.gating import masked
from coffee_core.messaging.message import message_of


class ProfileSeen(Event):
    topic: ClassVar[str] = "gates.dx___seen_q"
    type: ClassVar[str] = "seen"

    handle: str
    email: Annotated[str | None, Gated(Plan.SAAS)] = None
    price: Annotated[int | None, Gated(Plan.PAID)] = None


class Open(Event):
    topic: ClassVar[str] = "gates.dx___seen_q"
    type: ClassVar[str] = "open"

    handle: str


class Mistaken(Event):
    topic: ClassVar[str] = "gates.dx___seen_q"
    type: ClassVar[str] = "mistaken"

    email: Annotated[str, Gated(Plan.SAAS)]


def body(event: Event, plan: Plan) -> object:
    return orjson.loads(message_of(event, RequestContext(request_id="r", partner_id=1, plan=plan)).body)


@pytest.mark.parametrize(
    ("plan", "email", "price"), [(Plan.FREE, None, None), (Plan.SAAS, "a@b", None), (Plan.PAID, "a@b", 5)]
)
def test_what_the_callers_plan_locks_is_null_in_the_message(plan: Plan, email: str | None, price: int | None) -> None:
    assert body(ProfileSeen(handle="x", email="a@b", price=5), plan) == {"handle": "x", "email": email, "price": price}


@given(st.text(), st.integers(), st.text(), st.integers())
def test_what_a_free_caller_raises_does_not_depend_on_hidden_values(
    email: str, price: int, other_email: str, other_price: int
) -> None:
    one = body(ProfileSeen(handle="x", email=email, price=price), Plan.FREE)
    assert one == body(ProfileSeen(handle="x", email=other_email, price=other_price), Plan.FREE)


def test_an_event_without_gates_is_sent_as_it_is() -> None:
    event = Open(handle="x")
    assert masked(event, Plan.FREE) is event


def test_a_gated_field_that_cannot_be_null_is_a_mistake_that_is_told() -> None:
    with pytest.raises(TypeError, match=r"Mistaken.email is gated and must allow None"):
        message_of(Mistaken(email="x"), RequestContext(request_id="r", partner_id=1, plan=Plan.PAID))
