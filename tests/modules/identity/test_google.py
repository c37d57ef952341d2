"""Signing in with Google, against a provider that checks what Google checks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import jwt
import pytest

from coffee_core.domain.errors import NotFoundError, UnauthenticatedError, UnavailableError
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.wire.message import Response
from tests.modules.identity.provider import Provider, on_a_socket
from tests.modules.identity.rig import JWT_SECRET, OPERATOR, Service, settings_for


class Rig(NamedTuple):
    service: Service
    provider: Provider


class Browser:
    """Keeps its cookies."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.cookies: dict[str, str] = {}

    async def get(self, name: str, query: dict[str, str] | None = None) -> Response:
        sent = {"cookie": "; ".join(f"{each}={value}" for each, value in self.cookies.items())}
        response = await self.service.answer(name, query=urlencode(query or {}), headers=sent)
        for header, value in response.headers:
            if header == b"set-cookie":
                cookie, _, rules = value.decode().partition("; ")
                assert "HttpOnly; Secure; SameSite=Lax" in rules
                key, _, text = cookie.partition("=")
                self.cookies[key] = text
        return response

    async def go(self) -> str:
        """Off to the provider: where to."""
        response = await self.get("auth_google")
        assert response.status == 303
        return dict(response.headers)[b"location"].decode()


@pytest.fixture
async def rig(store: PostgresStore) -> AsyncIterator[Rig]:
    async with on_a_socket(Provider()) as provider:
        service = Service(store, settings_for(None, **provider.settings()))
        yield Rig(service, provider)
        await service.close()


async def test_who_has_a_user_here_signs_in(rig: Rig) -> None:
    person = await rig.service.person()
    browser = Browser(rig.service)
    back = rig.provider.agree(await browser.go(), person.email.upper())
    response = await browser.get("auth_google_callback", {**back, "scope": "openid email", "authuser": "0"})
    (tokens,) = json.loads(response.body)["data"]
    assert tokens["partnerId"] == person.partner_id
    assert browser.cookies == {"coffee_google": "", "coffee_session": tokens["accessToken"]}
    assert (await rig.service.session(tokens["refreshToken"].partition(".")[0]))["uid"] == person.id


async def test_a_browser_is_sent_to_the_page_of_the_settings(rig: Rig, store: PostgresStore) -> None:
    url = "https://app.example.com/welcome"
    service = Service(store, settings_for(None, **rig.provider.settings(), google_return_url=url))
    person, browser = await service.person(), Browser(service)
    back = rig.provider.agree(await browser.go(), person.email)
    response = await browser.get("auth_google_callback", back)
    assert (response.status, dict(response.headers)[b"location"], response.body) == (303, url.encode(), b"")
    assert browser.cookies["coffee_session"]
    await service.close()


async def test_a_way_back_is_good_for_one_time(rig: Rig) -> None:
    person, browser = await rig.service.person(), Browser(rig.service)
    back = rig.provider.agree(await browser.go(), person.email)
    kept = dict(browser.cookies)
    await browser.get("auth_google_callback", back)
    browser.cookies = kept
    with pytest.raises(UnauthenticatedError, match="used already"):
        await browser.get("auth_google_callback", back)


async def test_another_browser_cannot_be_made_to_sign_in(rig: Rig) -> None:
    """Or its owner would work in the attacker's account."""
    person = await rig.service.person()
    attacker, victim = Browser(rig.service), Browser(rig.service)
    back = rig.provider.agree(await attacker.go(), person.email)
    with pytest.raises(UnauthenticatedError, match="this browser"):
        await victim.get("auth_google_callback", back)
    await victim.go()
    with pytest.raises(UnauthenticatedError, match="this browser"):
        await victim.get("auth_google_callback", back)


@pytest.mark.parametrize("state", [{}, {"state": ""}, {"state": "é"}, {"state": "x" * 43}])
async def test_a_way_back_without_its_state_is_refused(rig: Rig, state: dict[str, str]) -> None:
    person, browser = await rig.service.person(), Browser(rig.service)
    back = rig.provider.agree(await browser.go(), person.email)
    with pytest.raises(UnauthenticatedError, match="this browser"):
        await browser.get("auth_google_callback", {"code": back["code"], **state})


async def test_a_cookie_of_another_kind_or_of_long_ago_is_none(rig: Rig) -> None:
    browser = Browser(rig.service)
    said = {"state": "s", "nonce": "n", "verifier": "v"}
    good = {"payload": {**said, "exp": 9_999_999_999}, "headers": {"typ": "oauth+jwt"}, "key": JWT_SECRET}
    for spoiled in (
        {"payload": {**said, "exp": 1}},
        {"payload": said},
        {"headers": {"typ": "JWT"}},
        {"key": "another key than that of the tests, long"},
    ):
        browser.cookies["coffee_google"] = jwt.encode(**{**good, **spoiled}, algorithm="HS256")
        with pytest.raises(UnauthenticatedError, match="this browser"):
            await browser.get("auth_google_callback", {"code": "c", "state": "s"})


@pytest.mark.parametrize(
    "spoiled",
    [
        {"iss": "https://another.example.com"},
        {"aud": "another application"},
        {"exp": 1},
        {"exp": None},
        {"nonce": "another"},
        {"nonce": None},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": None},
    ],
)
async def test_an_id_token_that_is_not_for_this_sign_in_is_refused(rig: Rig, spoiled: dict[str, Any]) -> None:
    person, browser = await rig.service.person(), Browser(rig.service)
    rig.provider.spoil = spoiled
    back = rig.provider.agree(await browser.go(), person.email)
    with pytest.raises(UnauthenticatedError):
        await browser.get("auth_google_callback", back)


async def test_a_code_of_somebody_elses_sign_in_is_refused(rig: Rig) -> None:
    """PKCE: the code was asked for with another verifier."""
    person = await rig.service.person()
    one, other = Browser(rig.service), Browser(rig.service)
    code = rig.provider.agree(await one.go(), person.email)["code"]
    state = rig.provider.agree(await other.go(), person.email)["state"]
    with pytest.raises(UnauthenticatedError, match="does not accept"):
        await other.get("auth_google_callback", {"code": code, "state": state})


@pytest.mark.parametrize("case", ["nobody", "blocked"])
async def test_who_has_no_user_that_may_sign_in_gets_none(rig: Rig, case: str) -> None:
    person, browser = await rig.service.person(), Browser(rig.service)
    email = person.email if case == "blocked" else f"nobody-{person.id}@example.com"
    body = {"status": "BLOCKED"}
    await rig.service.answer("account_patch", body, by=OPERATOR, id=person.partner_id, rowId=person.account_id)
    back = rig.provider.agree(await browser.go(), email)
    with pytest.raises(UnauthenticatedError, match="nobody with this address"):
        await browser.get("auth_google_callback", back)


async def test_who_does_not_agree_is_told_so(rig: Rig) -> None:
    browser = Browser(rig.service)
    state = rig.provider.agree(await browser.go(), "a@example.com")["state"]
    with pytest.raises(UnauthenticatedError, match="did not let you in"):
        await browser.get("auth_google_callback", {"error": "access_denied", "state": state})


async def test_a_provider_that_is_down_is_503(rig: Rig) -> None:
    browser = Browser(rig.service)
    back = rig.provider.agree(await browser.go(), "a@example.com")
    rig.provider.down = True
    with pytest.raises(UnavailableError, match="does not answer"):
        await browser.get("auth_google_callback", back)


async def test_its_keys_are_kept_and_an_unknown_one_does_not_make_us_ask_each_time(rig: Rig) -> None:
    person = await rig.service.person()

    async def sign_in() -> None:
        browser = Browser(rig.service)
        await browser.get("auth_google_callback", rig.provider.agree(await browser.go(), person.email))

    await sign_in()
    await sign_in()
    assert rig.provider.key_reads == 1
    rig.provider.change_key()
    for _ in range(3):
        with pytest.raises(UnauthenticatedError):
            await sign_in()
    assert rig.provider.key_reads == 1
    rig.service.google._keys._read_at -= 60
    await sign_in()
    assert rig.provider.key_reads == 2


async def test_where_it_is_not_set_up_there_is_nothing(alone: Service) -> None:
    with pytest.raises(NotFoundError, match="not set up"):
        await alone.answer("auth_google")
