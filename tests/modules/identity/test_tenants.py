"""Partners, accounts, contracts and users: operators write, a partner sees its own, another's does not exist."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coffee_core.domain.context import RequestContext
from coffee_core.domain.errors import (
    ConflictError,
    ForbiddenError,
    InputError,
    LimitError,
    NotFoundError,
    RuleError,
    UnauthenticatedError,
    VersionMismatchError,
)
from tests.modules.identity.rig import OPERATOR, PASSWORD, Service, gateway_headers

NOW = datetime.now(UTC)


def contract(plan: str = "SAAS", *, start: float = -1, end: float | None = 1, **changed: Any) -> dict[str, Any]:
    """From `start` to `end`, in hours from now."""
    body = {"contractType": "SAAS", "plan": plan, "startTime": (NOW + timedelta(hours=start)).isoformat(), **changed}
    return body if end is None else {**body, "endTime": (NOW + timedelta(hours=end)).isoformat()}


async def plan_of(service: Service, partner_id: int) -> Any:
    (found,) = await service.data("partners_plan", id=partner_id, headers=gateway_headers())
    return found


async def test_a_partner_reads_itself_and_no_other(service: Service) -> None:
    one, other = await service.person(), await service.person()
    (own,) = await service.data("partners_get", by=one.context, id=one.partner_id)
    assert own["id"] == one.partner_id
    with pytest.raises(NotFoundError):
        await service.answer("partners_get", by=one.context, id=other.partner_id)
    listed = await service.data("partners_list", by=one.context, query=f"ids={one.partner_id},{other.partner_id},0")
    assert [each["id"] for each in listed] == [one.partner_id]
    assert len(await service.data("partners_list", by=OPERATOR, query=f"ids={one.partner_id},{other.partner_id}")) == 2
    with pytest.raises(ForbiddenError):
        await service.answer("partners_search", by=one.context)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("partners_create", {"name": "Mine"}),
        ("partners_patch", {"name": "Mine"}),
        ("account_create", {"name": "Mine"}),
        ("account_patch", {"status": "ACTIVE"}),
        ("contract_create", contract("PAID")),
        ("contract_patch", {"plan": "PAID"}),
        ("contract_delete", None),
        ("users_create", {"accountId": 1, "email": "x@example.com", "name": "X", "password": PASSWORD}),
        ("users_delete", None),
        ("users_restore", None),
    ],
)
async def test_only_operators_write(service: Service, name: str, body: object) -> None:
    person = await service.person()
    with pytest.raises(ForbiddenError):
        await service.answer(name, body, by=person.context, id=person.partner_id, rowId=person.account_id)
    with pytest.raises(UnauthenticatedError):
        await service.answer(name, body, id=person.partner_id, rowId=person.account_id)


async def test_rows_of_another_partner_do_not_exist(service: Service) -> None:
    one, other = await service.person(), await service.person()
    (made,) = await service.data("contract_create", contract(), by=OPERATOR, id=other.partner_id)
    for partner_id in (one.partner_id, other.partner_id):
        with pytest.raises(NotFoundError):
            await service.answer("contract_get", by=one.context, id=partner_id, rowId=made["id"])
        with pytest.raises(NotFoundError):
            await service.answer("account_get", by=one.context, id=partner_id, rowId=other.account_id)
    with pytest.raises(NotFoundError):
        await service.answer("contract_list", by=one.context, id=other.partner_id)
    assert await service.data("contract_list", by=one.context, id=one.partner_id) == []
    with pytest.raises(NotFoundError):
        await service.answer("users_get", by=one.context, id=other.id)
    with pytest.raises(NotFoundError):
        await service.answer("users_patch", {"name": "Eve"}, by=one.context, id=other.id)
    with pytest.raises(NotFoundError):
        body = {"currentPassword": PASSWORD, "newPassword": "something else, and long"}
        await service.answer("users_password", body, by=one.context, id=other.id)
    assert [each["id"] for each in await service.data("users_search", by=one.context)] == [one.id]


async def test_an_operator_who_names_the_wrong_partner_finds_nothing(service: Service) -> None:
    one, other = await service.person(), await service.person()
    with pytest.raises(NotFoundError):
        await service.answer("account_patch", {"name": "X"}, by=OPERATOR, id=one.partner_id, rowId=other.account_id)
    with pytest.raises(NotFoundError):
        await service.answer("contract_create", contract(), by=OPERATOR, id=999_999_999)


async def test_a_partner_sees_its_contracts_and_what_they_grant(service: Service) -> None:
    person = await service.person()
    usage = {"DISCOVERY": {"limit": 100, "frequency": "monthly", "start": "2026-01-01T00:00:00Z"}}
    body = contract(configurations=usage)
    (made,) = await service.data("contract_create", body, by=OPERATOR, id=person.partner_id)
    (found,) = await service.data("contract_list", by=person.context, id=person.partner_id)
    assert found == made
    assert found["configurations"] == usage
    assert found["partnerId"] == person.partner_id


@pytest.mark.parametrize(
    "spoiled",
    [
        {"plan": "GOLD"},
        {"startTime": "2026-01-01T00:00:00"},
        {"startTime": "soon"},
        {"contractType": "saas"},
        {"configurations": {"COFFEE": {"limit": 1, "frequency": "monthly"}}},
        {"configurations": {"DISCOVERY": {"limit": -1, "frequency": "monthly"}}},
        {"configurations": {"DISCOVERY": {"limit": 1, "frequency": "hourly"}}},
        {"configurations": {"DISCOVERY": {"limit": 1}}},
        {"partnerId": 0},
        {"endTime": contract()["startTime"]},
    ],
)
async def test_a_contract_that_makes_no_sense_is_refused(service: Service, spoiled: dict[str, Any]) -> None:
    partner = await service.partner()
    with pytest.raises(InputError):
        await service.answer("contract_create", {**contract(), **spoiled}, by=OPERATOR, id=partner)


async def test_a_change_may_not_leave_a_contract_that_ends_before_it_starts(service: Service) -> None:
    partner = await service.partner()
    (made,) = await service.data("contract_create", contract(), by=OPERATOR, id=partner)
    body = {"endTime": contract(end=-2)["endTime"]}
    with pytest.raises((InputError, RuleError)):
        await service.answer("contract_patch", body, by=OPERATOR, id=partner, rowId=made["id"])


async def test_a_change_that_is_based_on_an_old_version_is_refused(service: Service) -> None:
    partner = await service.partner()
    (made,) = await service.data("contract_create", contract(), by=OPERATOR, id=partner)
    where: dict[str, Any] = {"by": OPERATOR, "id": partner, "rowId": made["id"], "headers": {"if-match": '"1"'}}
    await service.answer("contract_patch", {"plan": "PAID"}, **where)
    with pytest.raises(VersionMismatchError):
        await service.answer("contract_patch", {"plan": "FREE"}, **where)
    assert (await plan_of(service, partner))["type"] == "PAID"


async def test_the_running_contract_gives_the_plan_until_its_end(service: Service) -> None:
    partner = await service.partner()
    assert await plan_of(service, partner) == {"type": "FREE", "until": None}
    await service.answer("contract_create", contract("PAID", start=-3, end=-1), by=OPERATOR, id=partner)
    later = contract("PAID", start=2, end=None)
    await service.answer("contract_create", later, by=OPERATOR, id=partner)
    other = contract("PAID", contractType="CAMPAIGN")
    await service.answer("contract_create", other, by=OPERATOR, id=partner)
    start = datetime.fromisoformat(later["startTime"]).timestamp()
    assert await plan_of(service, partner) == {"type": "FREE", "until": pytest.approx(start)}
    running = contract("SAAS")
    await service.answer("contract_create", running, by=OPERATOR, id=partner)
    end = datetime.fromisoformat(running["endTime"]).timestamp()
    assert await plan_of(service, partner) == {"type": "SAAS", "until": pytest.approx(end)}


async def test_a_partner_sees_its_users_and_everybody_himself(service: Service) -> None:
    person = await service.person()
    colleague = await service.person(person.account_id)
    (me,) = await service.data("users_me", by=person.context)
    assert (me["id"], me["email"], me["accountId"]) == (person.id, person.email, person.account_id)
    assert not any("password" in name.lower() for name in me)
    found = await service.data("users_search", by=person.context)
    assert [each["id"] for each in found] == [person.id, colleague.id]
    assert (await service.data("users_get", by=OPERATOR, id=person.id)) == [me]


@pytest.mark.parametrize("field", ["passwordHash", "password_hash", "password"])
async def test_nobody_can_ask_for_a_hash(service: Service, field: str) -> None:
    for asked in ({"body": None, "query": f"fields={field}"}, {"body": None, "query": f"sortBy={field}"}):
        with pytest.raises(InputError):
            await service.answer("users_search", asked["body"], by=OPERATOR, query=str(asked["query"]))
    filters = {"filters": [{"filterType": "LIKE", "field": field, "value": "$argon%"}]}
    with pytest.raises(InputError):
        await service.answer("users_search", filters, by=OPERATOR)


async def test_everybody_changes_his_own_name_and_nothing_else(service: Service) -> None:
    person = await service.person()
    colleague = await service.person(person.account_id)
    (changed,) = await service.data("users_patch", {"name": "Grace"}, by=person.context, id=person.id)
    assert changed["name"] == "Grace"
    for id, body in ((colleague.id, {"name": "X"}), (person.id, {"email": "y@example.com"})):
        with pytest.raises(ForbiddenError):
            await service.answer("users_patch", body, by=person.context, id=id)
    for field in ("accountId", "partnerId", "id"):
        with pytest.raises(InputError):
            await service.answer("users_patch", {field: 1}, by=person.context, id=person.id)
    address = f" New-{person.email.upper()} "
    (changed,) = await service.data("users_patch", {"email": address}, by=OPERATOR, id=person.id)
    assert changed["email"] == f"new-{person.email}"


async def test_one_address_is_one_user(service: Service) -> None:
    person = await service.person()
    body = {"accountId": person.account_id, "email": person.email.upper(), "name": "Eve", "password": PASSWORD}
    with pytest.raises(ConflictError) as refused:
        await service.answer("users_create", body, by=OPERATOR)
    assert person.email not in refused.value.detail
    with pytest.raises(NotFoundError):
        await service.answer("users_create", {**body, "accountId": 999_999_999}, by=OPERATOR)


async def test_who_changes_his_password_knows_the_one_he_has(service: Service) -> None:
    person = await service.person()
    new = "something else, and long"
    with pytest.raises(InputError, match="currentPassword"):
        await service.answer("users_password", {"newPassword": new}, by=person.context, id=person.id)
    body = {"currentPassword": "not this one", "newPassword": new}
    for _ in range(5):
        with pytest.raises(ForbiddenError):
            await service.answer("users_password", body, by=person.context, id=person.id)
    with pytest.raises(LimitError):
        await service.answer("users_password", body, by=person.context, id=person.id)


async def test_a_colleague_cannot_change_a_password_and_an_operator_can(service: Service) -> None:
    person = await service.person()
    colleague = await service.person(person.account_id)
    body = {"currentPassword": PASSWORD, "newPassword": "something else, and long"}
    with pytest.raises(ForbiddenError):
        await service.answer("users_password", body, by=colleague.context, id=person.id)
    await service.answer("users_password", {"newPassword": "something else, and long"}, by=OPERATOR, id=person.id)
    await service.login(person, "something else, and long")


async def test_an_operator_says_his_own_password_too(service: Service) -> None:
    operator = await service.person(partner_id=0)
    assert operator.context.is_operator
    with pytest.raises(InputError, match="currentPassword"):
        body = {"newPassword": "something else, and long"}
        await service.answer("users_password", body, by=operator.context, id=operator.id)


async def test_a_caller_without_a_user_has_no_sessions(service: Service) -> None:
    program = RequestContext(request_id="r", partner_id=1, account_id=1, user_id=None)
    for name in ("sessions_list", "users_me"):
        with pytest.raises((UnauthenticatedError, InputError)):
            await service.answer(name, by=program)
