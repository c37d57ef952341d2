"""Signing in: tokens, the cookie, and what nobody is told."""

from __future__ import annotations

import json
import secrets
import time

import pytest

from coffee_core.domain.errors import InputError, LimitError, UnauthenticatedError
from coffee_core.stores.postgres.store import PostgresStore
from modules.identity.sessions import Client, ProviderLogin
from tests.modules.identity.rig import OPERATOR, PASSWORD, Service, claims_of, settings_for


async def test_a_login_answers_tokens_for_a_session_that_the_gateway_is_told_of(service: Service) -> None:
    person = await service.person()
    before = int(time.time())
    tokens = await service.login(person)
    claims = claims_of(tokens["accessToken"])
    assert (claims["uid"], claims["userAccountId"], claims["partnerId"]) == (
        person.id, person.account_id, person.partner_id,
    )  # fmt: skip
    assert claims["exp"] - claims["iat"] == tokens["expiresIn"] == 900
    assert before <= claims["iat"] <= time.time()
    assert (tokens["partnerId"], tokens["planType"]) == (person.partner_id, "FREE")
    session = await service.session(tokens["sid"])
    assert session["uid"] == person.id
    assert session["operator"] is False
    assert session["exp"] > time.time() + 86_400


async def test_an_address_is_one_user_however_it_is_written(service: Service) -> None:
    person = await service.person()
    local, _, domain = person.email.partition("@")
    body = {"email": f"  {local.upper()}@{domain.title()} ", "password": PASSWORD}
    (tokens,) = await service.data("auth_login", body, address=person.address)
    assert tokens["partnerId"] == person.partner_id


@pytest.mark.parametrize(
    ("query", "parts"),
    [("", []), ("cookie=false", []), ("cookie=true", ["HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=900"])],
)
async def test_the_session_cookie_is_set_when_it_is_asked_for(service: Service, query: str, parts: list[str]) -> None:
    person = await service.person()
    body = {"email": person.email, "password": PASSWORD}
    response = await service.answer("auth_login", body, address=person.address, query=query)
    cookies = [value.decode() for name, value in response.headers if name == b"set-cookie"]
    assert len(cookies) == bool(parts)
    token = json.loads(response.body)["data"][0]["accessToken"]
    assert all(cookie.startswith(f"coffee_session={token}; ") for cookie in cookies)
    assert all(set(parts) <= set(cookie.split("; ")) for cookie in cookies)
    assert (b"cache-control", b"no-store") in response.headers


@pytest.mark.parametrize("case", ["unknown", "wrong password", "blocked", "inactive", "deleted"])
async def test_all_who_cannot_sign_in_get_one_answer_after_one_hash(store: PostgresStore, case: str) -> None:
    """The work is counted, not timed: two look-ups and one verification, whatever the reason."""
    service = Service(store, settings_for(None))
    person = await service.person()
    email, password = person.email, PASSWORD
    if case == "unknown":
        email = f"nobody-{person.id}@example.com"
    elif case == "wrong password":
        password = PASSWORD + "!"
    elif case == "deleted":
        await service.answer("users_delete", by=OPERATOR, id=person.id)
    else:
        status = {"status": "BLOCKED" if case == "blocked" else "INACTIVE"}
        await service.answer("account_patch", status, by=OPERATOR, id=person.partner_id, rowId=person.account_id)
    before = service.hasher.verified
    with pytest.raises(UnauthenticatedError) as refused:
        await service.answer("auth_login", {"email": email, "password": password}, address=person.address)
    assert refused.value.detail == "the e-mail address or the password is not right"
    assert service.hasher.verified == before + 1
    await service.close()


@pytest.mark.parametrize("status", ["ACTIVE", "ONBOARDING"])
async def test_users_of_an_open_account_may_sign_in(service: Service, status: str) -> None:
    person = await service.person()
    body = {"status": status}
    await service.answer("account_patch", body, by=OPERATOR, id=person.partner_id, rowId=person.account_id)
    assert (await service.login(person))["partnerId"] == person.partner_id


@pytest.mark.parametrize(
    "body",
    [
        {"email": "a@example.com"},
        {"email": "a@example.com", "password": 5},
        {"email": "a@example.com", "password": "secret-of-mine", "admin": True},
        {"email": "no address", "password": "secret-of-mine"},
        {"email": "a@example.com", "password": "secret-of-mine" * 100},
    ],
)
async def test_a_body_that_is_wrong_is_refused_without_being_repeated(service: Service, body: object) -> None:
    with pytest.raises(InputError) as refused:
        await service.answer("auth_login", body, address="10.250.0.1")
    assert "secret-of-mine" not in f"{refused.value.detail} {refused.value.errors}"


async def test_nobody_signs_in_where_no_secret_is_set(store: PostgresStore) -> None:
    service = Service(store, settings_for(None, jwt_secret=None))
    (check,) = service.mounted.checks
    assert await check() == "nobody can sign in: COFFEE_JWT_SECRET is not set"
    await service.close()


async def test_failures_are_followed_by_a_delay_that_the_right_password_does_not_shorten(either: Service) -> None:
    service = either
    person = await service.person()
    for attempt in range(5):
        with pytest.raises(UnauthenticatedError):
            await service.login(person, f"wrong {attempt}")
    with pytest.raises(LimitError) as limited:
        await service.login(person)
    assert 0 < limited.value.retry_after <= 1


async def test_an_unknown_address_is_limited_like_a_known_one(either: Service) -> None:
    service = either
    person = await service.person()
    body = {"email": f"nobody-{person.id}@example.com", "password": "wrong wrong"}
    for _ in range(5):
        with pytest.raises(UnauthenticatedError):
            await service.answer("auth_login", body, address=person.address)
    with pytest.raises(LimitError):
        await service.answer("auth_login", body, address=person.address)


async def test_one_client_address_cannot_try_many_accounts(either: Service) -> None:
    service = either
    person = await service.person()
    network = f"2001:db8:{person.id:x}:1::"
    for attempt in range(20):
        with pytest.raises(UnauthenticatedError):
            body = {"email": f"nobody-{person.id}-{attempt}@example.com", "password": "wrong wrong"}
            await service.answer("auth_login", body, address=f"{network}{attempt:x}")
    with pytest.raises(LimitError):
        body = {"email": person.email, "password": PASSWORD}
        await service.answer("auth_login", body, address=f"{network}ffff")
    assert (await service.login(person))["partnerId"] == person.partner_id


async def test_a_success_forgets_the_failures_of_its_account(either: Service) -> None:
    service = either
    person = await service.person()
    for _ in range(3):
        for attempt in range(4):
            with pytest.raises(UnauthenticatedError):
                await service.login(person, f"wrong {attempt}")
        await service.login(person)


@pytest.mark.parametrize("shown", ["ceo@straße.example", "ceo@stra\u200dsse.example", "\u017faas@strasse.example"])
async def test_an_address_that_a_provider_proves_is_taken_letter_by_letter(service: Service, shown: str) -> None:
    """Those look like his, or fold to his, and are somebody else's: another domain, or another mailbox."""
    account, domain = await service.account(await service.partner()), f"x{secrets.token_hex(4)}.example"
    for email in (f"ceo@strasse{domain}", f"saas@strasse{domain}"):
        user = {"accountId": account, "email": email, "name": "x", "password": PASSWORD}
        await service.data("users_create", user, by=OPERATOR)
    proved = ProviderLogin("https://idp.example", "1", None)
    with pytest.raises(UnauthenticatedError):
        await service.auth.login_as(shown.replace(".example", domain), Client("", ""), proved)
    assert (await service.auth.login_as(f"CEO@strasse{domain}", Client("", ""), proved)).access_token


async def test_which_of_two_session_cookies_is_meant_nobody_can_say(service: Service) -> None:
    """As the gateway reads them."""
    person = await service.person()
    token = (await service.login(person))["accessToken"]
    for cookie in (f"coffee_session=; coffee_session={token}", f"coffee_session={token}; coffee_session=x"):
        with pytest.raises(UnauthenticatedError):
            await service.answer("auth_logout", headers={"cookie": cookie})
    cookie = f"a=b,coffee_session=x; coffee_session={token}"
    assert (await service.answer("auth_logout", headers={"cookie": cookie})).status < 300
