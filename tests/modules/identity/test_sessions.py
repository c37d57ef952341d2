"""Sessions: refreshed, listed, ended; PostgreSQL's row is the truth."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from coffee_core.domain.errors import CoffeeError, ForbiddenError, NotFoundError, UnauthenticatedError
from coffee_core.stores.postgres.store import PostgresStore
from tests.modules.identity.rig import OPERATOR, PASSWORD, Service, bearer, gateway_headers, settings_for


async def refresh(service: Service, token: str) -> dict[str, Any]:
    (tokens,) = await service.data("auth_refresh", {"refreshToken": token})
    found: dict[str, Any] = tokens
    return found


async def ended(service: Service, sid: str) -> bool:
    return await service.session_or_none(sid) is None


async def test_a_refresh_answers_new_tokens_for_the_same_session(service: Service) -> None:
    tokens = await service.login(await service.person())
    renewed = await refresh(service, tokens["refreshToken"])
    again = await refresh(service, renewed["refreshToken"])
    assert len({tokens["refreshToken"], renewed["refreshToken"], again["refreshToken"]}) == 3
    assert not await ended(service, tokens["sid"])


async def test_of_two_refreshes_with_one_token_at_the_same_moment_one_wins(service: Service) -> None:
    tokens = await service.login(await service.person())
    both = await asyncio.gather(*(refresh(service, tokens["refreshToken"]) for _ in range(2)), return_exceptions=True)
    won = [outcome for outcome in both if isinstance(outcome, dict)]
    lost = [outcome for outcome in both if isinstance(outcome, UnauthenticatedError)]
    assert (len(won), len(lost)) == (1, 1)
    assert await refresh(service, won[0]["refreshToken"])


async def test_a_refresh_token_that_is_used_again_ends_the_session(store: PostgresStore) -> None:
    """Whoever holds it, thief or owner: both have to log in again."""
    service = Service(store, settings_for(None, refresh_race_seconds=0))
    tokens = await service.login(await service.person())
    renewed = await refresh(service, tokens["refreshToken"])
    with pytest.raises(UnauthenticatedError):
        await refresh(service, tokens["refreshToken"])
    assert await ended(service, tokens["sid"])
    with pytest.raises(UnauthenticatedError):
        await refresh(service, renewed["refreshToken"])
    await service.close()


async def test_a_token_that_is_older_than_the_one_before_ends_the_session_however_soon(service: Service) -> None:
    tokens = await service.login(await service.person())
    renewed = await refresh(service, tokens["refreshToken"])
    await refresh(service, renewed["refreshToken"])
    with pytest.raises(UnauthenticatedError):
        await refresh(service, tokens["refreshToken"])
    assert await ended(service, tokens["sid"])


async def test_who_knows_a_session_id_alone_can_neither_refresh_nor_end_it(service: Service) -> None:
    tokens = await service.login(await service.person())
    sid, _, secret = tokens["refreshToken"].split(".")
    for forged in (f"{sid}.{'A' * 22}.{secret}", f"{sid}.{'A' * 22}.{'A' * 43}", sid, "", "." * 300):
        with pytest.raises(CoffeeError):
            await refresh(service, forged[:256])
    assert not await ended(service, tokens["sid"])


async def test_logout_ends_the_session_of_the_access_token(service: Service) -> None:
    person = await service.person()
    one, other = await service.login(person), await service.login(person)
    response = await service.answer("auth_logout", headers=bearer(one))
    assert response.status == 204
    assert next(value for name, value in response.headers if name == b"set-cookie").startswith(
        b"coffee_session=; Max-Age=0; Path=/; HttpOnly; Secure"
    )
    assert await ended(service, one["sid"])
    assert not await ended(service, other["sid"])
    assert (await service.answer("auth_logout", {}, headers=bearer(one))).status == 204
    with pytest.raises(UnauthenticatedError):
        await refresh(service, one["refreshToken"])


async def test_logout_takes_the_cookie_or_the_refresh_token(service: Service) -> None:
    person = await service.person()
    one, other = await service.login(person), await service.login(person)
    cookie = {"cookie": f"theme=dark; coffee_session={one['accessToken']}"}
    await service.answer("auth_logout", headers=cookie)
    await service.answer("auth_logout", {"refreshToken": other["refreshToken"]})
    assert await ended(service, one["sid"])
    assert await ended(service, other["sid"])


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer e30.e30.e30"}, {"cookie": "other=1"}],
)
async def test_a_logout_without_a_token_of_ours_is_refused(service: Service, headers: dict[str, str]) -> None:
    with pytest.raises(UnauthenticatedError):
        await service.answer("auth_logout", headers=headers)


async def test_logout_everywhere_ends_all_sessions_of_the_user_and_of_nobody_else(service: Service) -> None:
    person = await service.person()
    colleague = await service.person(person.account_id)
    mine = [await service.login(person) for _ in range(3)]
    his = await service.login(colleague)
    await service.answer("auth_logout", headers=bearer(mine[0]), query="everywhere=true")
    assert all([await ended(service, tokens["sid"]) for tokens in mine])
    assert not await ended(service, his["sid"])


async def test_the_token_of_an_ended_session_cannot_end_the_others(service: Service) -> None:
    person = await service.person()
    stolen, own = await service.login(person), await service.login(person)
    await service.answer("auth_logout", headers=bearer(stolen))
    with pytest.raises(UnauthenticatedError):
        await service.answer("auth_logout", headers=bearer(stolen), query="everywhere=true")
    assert not await ended(service, own["sid"])


async def test_a_password_change_ends_all_sessions(service: Service) -> None:
    person = await service.person()
    tokens = [await service.login(person) for _ in range(2)]
    body = {"currentPassword": PASSWORD, "newPassword": "another horse, another battery"}
    assert (await service.answer("users_password", body, by=person.context, id=person.id)).status == 204
    assert all([await ended(service, each["sid"]) for each in tokens])
    with pytest.raises(UnauthenticatedError):
        await service.login(person)
    await service.login(person, "another horse, another battery")


@pytest.mark.parametrize("status", ["BLOCKED", "INACTIVE"])
async def test_closing_an_account_ends_the_sessions_of_its_users(service: Service, status: str) -> None:
    person = await service.person()
    colleague = await service.person(person.account_id)
    neighbour = await service.person(await service.account(person.partner_id))
    one, two, three = [await service.login(each) for each in (person, colleague, neighbour)]
    body = {"status": status}
    await service.answer("account_patch", body, by=OPERATOR, id=person.partner_id, rowId=person.account_id)
    assert [await ended(service, each["sid"]) for each in (one, two, three)] == [True, True, False]


async def test_deleting_a_user_ends_his_sessions(service: Service) -> None:
    person = await service.person()
    tokens = await service.login(person)
    await service.answer("users_delete", by=OPERATOR, id=person.id)
    assert await ended(service, tokens["sid"])
    await service.answer("users_restore", by=OPERATOR, id=person.id)
    assert await ended(service, tokens["sid"])
    await service.login(person)


async def test_everybody_sees_and_ends_his_own_sessions_alone(service: Service) -> None:
    person = await service.person()
    colleague = await service.person(person.account_id)
    mine = [await service.login(person, headers={"user-agent": f"Browser {n}"}) for n in range(2)]
    his = await service.login(colleague)
    listed = await service.data("sessions_list", by=person.context)
    assert [each["id"] for each in listed] == [tokens["sid"] for tokens in reversed(mine)]
    assert [each["userAgent"] for each in listed] == ["Browser 1", "Browser 0"]
    assert not any("hash" in name.lower() for name in listed[0])
    for theirs in (his["sid"], "A" * 22, "nonsense"):
        with pytest.raises(NotFoundError):
            await service.answer("sessions_end", by=person.context, id=theirs)
    await service.answer("sessions_end", by=person.context, id=mine[0]["sid"])
    assert [await ended(service, tokens["sid"]) for tokens in (*mine, his)] == [True, False, False]
    await service.answer("sessions_end_all", by=person.context)
    assert [await ended(service, tokens["sid"]) for tokens in (*mine, his)] == [True, True, False]


async def test_one_login_more_than_the_bound_ends_the_oldest_session(store: PostgresStore) -> None:
    service = Service(store, settings_for(None, sessions_per_user_max=2))
    person = await service.person()
    tokens = [await service.login(person) for _ in range(3)]
    assert [await ended(service, each["sid"]) for each in tokens] == [True, False, False]
    await service.close()


async def test_an_expired_session_is_nobodys_and_is_purged(store: PostgresStore) -> None:
    service = Service(store, settings_for(None))
    person = await service.person()
    tokens = await service.login(person)
    await _sql(store, f"UPDATE identity.session SET expires_at = now() WHERE id = '{tokens['sid']}'")
    assert await ended(service, tokens["sid"])
    with pytest.raises(UnauthenticatedError):
        await refresh(service, tokens["refreshToken"])
    (job,) = [job for job in service.mounted.jobs if job.name == "identity_sessions_purge"]
    await job.run()
    assert await _sql(store, f"SELECT count(*) FROM identity.session WHERE id = '{tokens['sid']}'") == 0
    await service.close()


async def test_a_session_ends_at_its_bound_however_often_it_is_refreshed(store: PostgresStore) -> None:
    service = Service(store, settings_for(None, session_seconds=86_400, session_seconds_max=86_400))
    tokens = await service.login(await service.person())
    first = (await service.session(tokens["sid"]))["exp"]
    await _sql(
        store,
        f"UPDATE identity.session SET created_at = created_at - interval '1 hour' WHERE id = '{tokens['sid']}'",
    )
    await refresh(service, tokens["refreshToken"])
    assert (await service.session(tokens["sid"]))["exp"] == pytest.approx(first - 3600, abs=2)
    await service.close()


@pytest.mark.parametrize(
    "changed",
    [
        {"key": "a key that the gateway does not have, long"},
        {"name": "somebody"},
        {"audience": "another"},
        {"lifetime": -60},
    ],
)
async def test_only_the_gateway_may_ask_about_sessions_and_plans(service: Service, changed: dict[str, Any]) -> None:
    tokens = await service.login(await service.person())
    for headers in (gateway_headers(**changed), {}, {"authorization": "Bearer nonsense"}, bearer(tokens)):
        with pytest.raises(ForbiddenError):
            await service.answer("auth_verify", query=f"sid={tokens['sid']}", headers=headers, by=OPERATOR)
        with pytest.raises(ForbiddenError):
            await service.answer("partners_plan", id=tokens["partnerId"], headers=headers, by=OPERATOR)


async def test_without_a_signing_key_nobody_is_the_gateway(store: PostgresStore) -> None:
    service = Service(store, settings_for(None, signing_key=None))
    with pytest.raises(ForbiddenError):
        await service.answer("partners_plan", id=1, headers=gateway_headers())
    await service.close()


async def test_a_login_that_meets_the_end_of_its_account_leaves_no_session(store: PostgresStore) -> None:
    """However the two interleave: the account's row is locked by both."""
    service = Service(store, settings_for(None))
    for _ in range(10):
        person = await service.person()

        async def login(who: Any = person) -> dict[str, Any] | None:
            with contextlib.suppress(UnauthenticatedError):
                return await service.login(who)
            return None

        async def block(who: Any = person) -> None:
            body = {"status": "BLOCKED"}
            await service.answer("account_patch", body, by=OPERATOR, id=who.partner_id, rowId=who.account_id)

        await asyncio.gather(login(), block(), login())
        left = await _sql(store, f"SELECT count(*) FROM identity.session WHERE account_id = {person.account_id}")
        assert left == 0
    await service.close()


async def _sql(store: PostgresStore, statement: str) -> Any:
    connection = await store.pool.take()
    try:
        return await connection.raw.fetchval(statement)
    finally:
        store.pool.give(connection)
