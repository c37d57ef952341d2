"""The demo's people, made once and put back, and nobody else's password."""

from __future__ import annotations

import pytest

from coffee_core.domain.errors import ConflictError, InputError, UnauthenticatedError
from modules.identity.command import make_operator
from modules.identity.demo import load_demo
from tests.modules.identity.rig import OPERATOR, Service

PEOPLE = {
    "free@example.com": (1, "FREE"),
    "saas@example.com": (2, "SAAS"),
    "paid@example.com": (3, "PAID"),
    "operator@example.com": (0, "FREE"),
}


async def test_the_demo_can_be_loaded_again_and_again(service: Service) -> None:
    with pytest.raises(UnauthenticatedError):
        await login(service, "free@example.com")
    await load_demo(service.container)
    found = await service.data("users_search", by=OPERATOR)
    await load_demo(service.container)
    assert await service.data("users_search", by=OPERATOR) == found
    for email, (partner_id, plan) in PEOPLE.items():
        tokens = await login(service, email)
        assert (tokens["partnerId"], tokens["planType"]) == (partner_id, plan)
        assert (await service.session(tokens["refreshToken"].partition(".")[0]))["operator"] is (partner_id == 0)


async def test_ids_that_are_generated_never_meet_those_of_the_demo(service: Service) -> None:
    person = await service.person()
    assert min(person.id, person.account_id, person.partner_id) >= 1000


async def test_nobody_may_choose_the_password_of_the_demo(service: Service) -> None:
    person = await service.person()
    with pytest.raises(InputError, match="tried first"):
        await service.answer("users_password", {"newPassword": "Coffee-Demo"}, by=OPERATOR, id=person.id)


async def login(service: Service, email: str) -> dict[str, str]:
    (tokens,) = await service.data("auth_login", {"email": email, "password": "coffee-demo"})
    found: dict[str, str] = tokens
    return found


async def test_the_first_operator_is_made_by_a_command_and_makes_everybody_else(service: Service) -> None:
    await make_operator(service.container, "Root@Example.com", "Root", "a horse, a battery")
    (tokens,) = await service.data("auth_login", {"email": "root@example.com", "password": "a horse, a battery"})
    assert tokens["partnerId"] == 0
    session = await service.session(tokens["refreshToken"].partition(".")[0])
    assert session["operator"] is True
    with pytest.raises(ConflictError):
        await make_operator(service.container, "root@example.com", "Root", "a horse, a battery")
    with pytest.raises(InputError):
        await make_operator(service.container, "other@example.com", "Root", "short")
