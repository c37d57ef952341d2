"""The provider says who has logged out there (OpenID Connect Back-Channel Logout 1.0)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import ValidationError

from coffee_core.domain.errors import (
    InputError,
    LimitError,
    MediaTypeError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.wire.message import Response
from tests.modules.identity.provider import CLIENT_ID, Provider, on_a_socket
from tests.modules.identity.rig import Person, Service, settings_for
from tests.modules.identity.test_gateways import gateway, wait_until_told
from tests.modules.identity.test_google import Browser

EVENT = "http://schemas.openid.net/event/backchannel-logout"


class Rig(NamedTuple):
    service: Service
    provider: Provider

    async def sign_in(self, person: Person, subject: str, sid: str | None = None) -> dict[str, Any]:
        """Tokens of a session that came from the provider, with the session's id."""
        self.provider.spoil = {"sub": subject, "sid": sid}
        browser = Browser(self.service)
        response = await browser.get("auth_google_callback", self.provider.agree(await browser.go(), person.email))
        (tokens,) = json.loads(response.body)["data"]
        return {**tokens, "sid": tokens["refreshToken"].partition(".")[0]}

    async def tell(self, token: str, **rest: Any) -> Response:
        return await tell(self.service, token, **rest)

    async def logout(self, **said: Any) -> Response:
        return await self.tell(self.provider.logout_token(said))

    async def alive(self, *sessions: dict[str, Any]) -> list[bool]:
        return [await self.service.session_or_none(each["sid"]) is not None for each in sessions]


async def tell(service: Service, token: str, **rest: Any) -> Response:
    return await service.answer("auth_backchannel_logout", form=urlencode({"logout_token": token}), **rest)


def somebody() -> str:
    return secrets.token_hex(8)


@pytest.fixture(scope="module")
async def rig(store: PostgresStore, redis_url: str) -> AsyncIterator[Rig]:
    async with on_a_socket(Provider()) as provider:
        service = Service(store, settings_for(redis_url, **provider.settings()))
        yield Rig(service, provider)
        await service.close()


async def test_a_subject_that_logs_out_has_no_session_here_any_more_and_others_keep_theirs(rig: Rig) -> None:
    ada, bob = await rig.service.person(), await rig.service.person()
    subject = somebody()
    mine = [await rig.sign_in(ada, subject, sid) for sid in (None, "one", "two")]
    by_password = await rig.service.login(ada)
    his = await rig.sign_in(bob, somebody(), "one")
    response = await rig.logout(sub=subject)
    assert (response.status, response.body, dict(response.headers)[b"cache-control"]) == (200, b"", b"no-store")
    assert await rig.alive(*mine, by_password, his) == [False, False, False, True, True]
    with pytest.raises(Exception, match="log in again"):
        await rig.service.data("auth_refresh", {"refreshToken": mine[0]["refreshToken"]})


@pytest.mark.parametrize("with_subject", [True, False])
async def test_a_session_of_the_provider_ends_what_came_from_it_alone(rig: Rig, with_subject: bool) -> None:
    ada, bob = await rig.service.person(), await rig.service.person()
    subject, one, two = somebody(), somebody(), somebody()
    sessions = [await rig.sign_in(ada, subject, one), await rig.sign_in(ada, subject, two)]
    his = await rig.sign_in(bob, somebody(), two)
    await rig.logout(sid=one, **({"sub": subject} if with_subject else {}))
    assert await rig.alive(*sessions, his) == [False, True, True]
    await rig.logout(sid=two, sub=subject)
    assert await rig.alive(*sessions, his) == [False, False, True]


async def test_a_session_of_the_subject_that_cannot_be_told_apart_ends_too(rig: Rig) -> None:
    subject = somebody()
    session = await rig.sign_in(await rig.service.person(), subject)
    await rig.logout(sub=subject, sid=somebody())
    assert await rig.alive(session) == [False]


async def test_the_same_subject_of_another_provider_is_somebody_else(rig: Rig, store: PostgresStore) -> None:
    """Sessions outlive a change of the provider in the settings."""
    subject = somebody()
    session = await rig.sign_in(await rig.service.person(), subject, "one")
    connection = await store.pool.take()
    try:
        change = "UPDATE identity.session SET provider_issuer = 'https://former.example.com' WHERE id = $1"
        await connection.raw.execute(change, session["sid"])
    finally:
        store.pool.give(connection)
    for said in ({"sub": subject}, {"sid": "one"}, {"sub": subject, "sid": "one"}):
        await rig.logout(**said)
    assert await rig.alive(session) == [True]


async def test_a_refreshed_session_still_knows_where_it_came_from(rig: Rig) -> None:
    subject = somebody()
    session = await rig.sign_in(await rig.service.person(), subject)
    await rig.service.data("auth_refresh", {"refreshToken": session["refreshToken"]})
    await rig.logout(sub=subject)
    assert await rig.alive(session) == [False]


async def test_every_gateway_is_told_by_a_push(rig: Rig, redis_url: str) -> None:
    subject = somebody()
    session = await rig.sign_in(await rig.service.person(), subject)
    async with gateway(rig.service, redis_url) as one, gateway(rig.service, redis_url) as other:
        assert [await each.knows(session) for each in (one, other)] == [True, True]
        await rig.logout(sub=subject)
        await wait_until_told(one, other, of=session)


@pytest.mark.parametrize("said", [{"sub": "nobody here"}, {"sid": "nobody's"}, {"sub": "nobody here", "sid": "x"}])
async def test_to_end_what_is_not_there_is_no_error(rig: Rig, said: dict[str, str]) -> None:
    assert (await rig.logout(**said)).status == 200


@pytest.mark.parametrize("typ", ["JWT", "application/logout+jwt", None])
async def test_a_token_of_an_older_provider_is_good_too(rig: Rig, typ: str | None) -> None:
    subject = somebody()
    session = await rig.sign_in(await rig.service.person(), subject)
    token = rig.provider.logout_token({"sub": subject, "aud": [CLIENT_ID], "other": 1}, typ=typ)
    await rig.tell(token)
    assert await rig.alive(session) == [False]


NOW = int(time.time())
SPOILED: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://another.example.com"},
    "no issuer": {"iss": None},
    "another audience": {"aud": "another application"},
    "others too": {"aud": [CLIENT_ID, "another application"]},
    "no audience": {"aud": None},
    "expired": {"exp": NOW - 60},
    "no end": {"exp": None},
    "of tomorrow": {"iat": NOW + 86_400, "exp": NOW + 90_000},
    "of yesterday": {"iat": NOW - 86_400, "exp": NOW + 86_400},
    "no time": {"iat": None},
    "a time that is none": {"iat": []},
    "an endless time": {"iat": float("-inf")},
    "no id": {"jti": None},
    "an empty id": {"jti": ""},
    "no events": {"events": None},
    "another event": {"events": {"https://schemas.openid.net/secevent/risc/event-type/sessions-revoked": {}}},
    "events as a list": {"events": [EVENT]},
    "an event that is no object": {"events": {EVENT: True}},
    "a nonce": {"nonce": "n"},
    "neither subject nor session": {"sub": None},
    "a subject that is no text": {"sub": 7},
    "a subject without end": {"sub": "x" * 256},
    "a session that is no text": {"sid": {}},
    "a NUL": {"sid": "a\0"},
}


@pytest.mark.parametrize("said", SPOILED.values(), ids=SPOILED)
async def test_a_token_that_does_not_say_what_it_must_is_refused_and_ends_nothing(
    rig: Rig, said: dict[str, Any]
) -> None:
    subject = somebody()
    session = await rig.sign_in(await rig.service.person(), subject)
    with pytest.raises(InputError, match="logout token is not valid"):
        await rig.logout(**{"sub": subject, **said})
    assert await rig.alive(session) == [True]


def by_another_key(provider: Provider, said: dict[str, Any]) -> str:
    return provider.logout_token(said, key=rsa.generate_private_key(public_exponent=65537, key_size=2048))


def by_an_unknown_key(provider: Provider, said: dict[str, Any]) -> str:
    return provider.logout_token(said, kid="made up")


def without_a_key(provider: Provider, said: dict[str, Any]) -> str:
    header, claims, signature = provider.logout_token(said).split(".")
    kept = json.dumps({"alg": "RS256", "typ": "logout+jwt"}).encode()
    assert header
    return f"{_base64(kept)}.{claims}.{signature}"


def unsigned(provider: Provider, said: dict[str, Any]) -> str:
    return provider.logout_token(said, key="", algorithm="none")


def by_the_public_key_as_a_secret(provider: Provider, said: dict[str, Any]) -> str:
    head, claims, _ = provider.logout_token(said).split(".")
    known = json.loads(base64.urlsafe_b64decode(head + "=="))
    signed = f"{_base64(json.dumps({**known, 'alg': 'HS256'}).encode())}.{claims}"
    return f"{signed}.{_base64(hmac.digest(provider.public_key(), signed.encode(), hashlib.sha256))}"


def with_other_claims(provider: Provider, said: dict[str, Any]) -> str:
    head, _, signature = provider.logout_token({"sub": "x"}).split(".")
    return f"{head}.{provider.logout_token(said).split('.')[1]}.{signature}"


def of_another_type(provider: Provider, said: dict[str, Any]) -> str:
    return provider.logout_token(said, typ="at+jwt")


def by_an_algorithm_that_is_not_allowed(provider: Provider, said: dict[str, Any]) -> str:
    return provider.logout_token(said, algorithm="RS512")


def nonsense(provider: Provider, said: dict[str, Any]) -> str:
    return "e30.e30.e30"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


FORGED = [
    by_another_key, by_an_unknown_key, without_a_key, unsigned, by_the_public_key_as_a_secret, with_other_claims,
    of_another_type, by_an_algorithm_that_is_not_allowed, nonsense,
]  # fmt: skip


@pytest.mark.parametrize("forge", FORGED)
async def test_a_token_that_the_provider_did_not_sign_for_this_is_refused_and_ends_nothing(
    rig: Rig, forge: Callable[[Provider, dict[str, Any]], str]
) -> None:
    subject = somebody()
    session = await rig.sign_in(await rig.service.person(), subject)
    with pytest.raises(InputError, match="logout token is not valid"):
        await rig.tell(forge(rig.provider, {"sub": subject}))
    assert await rig.alive(session) == [True]


async def test_a_token_is_good_for_one_time_also_of_two_at_the_same_moment(rig: Rig) -> None:
    person, subject = await rig.service.person(), somebody()
    await rig.sign_in(person, subject)
    token = rig.provider.logout_token({"sub": subject})
    both = await asyncio.gather(rig.tell(token), rig.tell(token), return_exceptions=True)
    assert sorted(type(each) is Response for each in both) == [False, True]
    assert "used before" in str(next(each for each in both if type(each) is InputError))
    later = await rig.sign_in(person, subject)
    with pytest.raises(InputError, match="used before"):
        await rig.tell(token)
    assert await rig.alive(later) == [True]


async def test_a_used_token_is_remembered_until_it_would_be_too_old(rig: Rig, store: PostgresStore) -> None:
    await rig.logout(sub=somebody())
    (job,) = [job for job in rig.service.mounted.jobs if job.name == "identity_sessions_purge"]
    await job.run()
    connection = await store.pool.take()
    try:
        count = "SELECT count(*) FROM identity.used_logout_token"
        assert await connection.raw.fetchval(count) > 0
        await connection.raw.execute("UPDATE identity.used_logout_token SET expires_at = now() - interval '1 second'")
        await job.run()
        assert await connection.raw.fetchval(count) == 0
    finally:
        store.pool.give(connection)


async def test_a_new_key_of_the_provider_is_found_and_made_up_ones_do_not_make_us_ask(rig: Rig) -> None:
    await rig.logout(sub=somebody())
    keys = rig.service.google._keys
    reads = rig.provider.key_reads
    rig.provider.change_key()
    keys._read_at -= 60
    await asyncio.gather(*(rig.logout(sub=somebody()) for _ in range(5)))
    assert rig.provider.key_reads == reads + 1
    for number in range(5):
        with pytest.raises(InputError, match="unknown key"):
            await rig.tell(rig.provider.logout_token({"sub": "x"}, kid=f"made up {number}"))
    assert rig.provider.key_reads == reads + 1


async def test_while_the_providers_keys_cannot_be_had_the_token_stays_good(rig: Rig, store: PostgresStore) -> None:
    changed = {**rig.provider.settings(), "google_keys_url": f"{rig.provider.url}/nothing-here"}
    service = Service(store, settings_for(None, **changed))
    token = rig.provider.logout_token({"sub": "x"})
    for _ in range(2):
        with pytest.raises(UnavailableError, match="does not answer"):
            await tell(service, token)
    assert (await rig.tell(token)).status == 200
    await service.close()


async def test_refused_tokens_of_one_address_are_slowed_down_and_good_ones_never(
    rig: Rig, store: PostgresStore
) -> None:
    changed = {**rig.provider.settings(), "login_address_attempts": 2, "login_delay_seconds": 60}
    service = Service(store, settings_for(None, **changed))
    for refusal in (InputError, InputError, LimitError, LimitError):
        with pytest.raises(refusal):
            await tell(service, "nonsense", address="192.0.2.7")
    with pytest.raises(InputError):
        await tell(service, "nonsense", address="192.0.2.8")
    assert (await tell(service, rig.provider.logout_token({"sub": "x"}), address="192.0.2.7")).status == 200
    await service.close()


@pytest.mark.parametrize("form", ["", "logout_token=", "logout_token=a&logout_token=b", "&" * 20 + "a=1", "é=1"])
async def test_a_form_without_its_one_token_is_refused(rig: Rig, form: str) -> None:
    with pytest.raises(InputError, match="send one"):
        await rig.service.answer("auth_backchannel_logout", form=form)


async def test_other_fields_of_the_form_are_passed_over(rig: Rig) -> None:
    form = urlencode({"state": "x", "logout_token": rig.provider.logout_token({"sub": "x"})})
    response = await rig.service.answer(
        "auth_backchannel_logout",
        form=form,
        headers={"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
    )
    assert response.status == 200


async def test_what_is_no_form_or_too_long_is_refused(rig: Rig) -> None:
    with pytest.raises(MediaTypeError, match="x-www-form-urlencoded"):
        await rig.service.answer("auth_backchannel_logout", {"logout_token": "x"})
    with pytest.raises(TooLargeError):
        await rig.tell("x" * 20_000)


async def test_where_no_provider_is_set_up_there_is_nothing(alone: Service) -> None:
    with pytest.raises(NotFoundError, match="not set up"):
        await tell(alone, "nonsense")


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_no_setting_allows_a_token_without_a_providers_key(algorithm: str) -> None:
    with pytest.raises(ValidationError):
        settings_for(None, logout_algorithms=[algorithm])
