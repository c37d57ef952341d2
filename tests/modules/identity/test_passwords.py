"""Passwords: rules, and hashing that is bounded in threads, memory and waiting."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.domain.errors import InputError, UnavailableError
from coffee_core.stores.postgres.store import PostgresStore
from modules.identity.passwords import COMMON, PasswordHasher, check, unified
from tests.modules.identity.rig import Service, settings_for

SETTINGS = settings_for(None)
EMAIL = "adeline@example.com"


@pytest.mark.parametrize(
    "password",
    ["", "short one", "x" * 300, "aaaaaaaaaaaa", "abababababab", "Password123", "i am ADELINE!", EMAIL + "1"],
)
def test_a_weak_password_is_refused_with_the_reason_and_without_itself(password: str) -> None:
    with pytest.raises(InputError) as refused:
        check(password, EMAIL, SETTINGS)
    assert not password or password not in refused.value.detail


@pytest.mark.parametrize(
    "password", ["a horse, a battery", "     spaces count     ", "パスワードは長い方がよい", "10chars---"]
)
def test_length_is_what_counts(password: str) -> None:
    assert check(password, EMAIL, SETTINGS) == unified(password)


def test_the_list_of_common_passwords_holds_what_length_alone_lets_pass() -> None:
    assert {word for word in COMMON if len(word) >= SETTINGS.password_min and word == word.casefold()} == COMMON


@given(st.text(max_size=400), st.just(EMAIL))
def test_whatever_is_sent_is_a_password_or_refused(password: str, email: str) -> None:
    try:
        taken = check(password, email, SETTINGS)
    except InputError:
        return
    assert SETTINGS.password_min <= len(taken) <= SETTINGS.password_max
    assert check(taken, email, SETTINGS) == taken


async def test_the_same_characters_from_another_keyboard_are_the_same_password() -> None:
    hasher = PasswordHasher(SETTINGS)
    stored = await hasher.hash(check("caf\u00e9 au lait", EMAIL, SETTINGS))
    assert (await hasher.verify("cafe\u0301 au lait", stored)).good
    assert not (await hasher.verify("cafe au lait", stored)).good
    hasher.close()


async def test_hashes_are_salted_and_say_their_parameters() -> None:
    hasher = PasswordHasher(SETTINGS)
    one, other = await hasher.hash("a horse, a battery"), await hasher.hash("a horse, a battery")
    assert one != other
    assert one.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    hasher.close()


async def test_a_hash_of_older_settings_is_made_anew_at_the_next_login(store: PostgresStore) -> None:
    old = Service(store, settings_for(None))
    person = await old.person()
    new = Service(store, settings_for(None, hash_memory_kib=128))
    await new.login(person)
    before = new.hasher.verified
    connection = await store.pool.take()
    try:
        stored = await connection.raw.fetchval('SELECT password_hash FROM identity."user" WHERE id = $1', person.id)
    finally:
        store.pool.give(connection)
    assert "$m=128," in stored
    await new.login(person)
    assert new.hasher.verified == before + 1
    await old.close()
    await new.close()


async def test_fifty_logins_at_once_are_hashed_two_at_a_time_and_all_answered(store: PostgresStore) -> None:
    service = Service(store, settings_for(None, hash_concurrency=2, hash_queue=48, hash_memory_kib=1024))
    people = [await service.person() for _ in range(50)]
    tokens = await asyncio.gather(*(service.login(person) for person in people))
    assert len({each["sid"] for each in tokens}) == 50
    assert service.hasher.busiest <= 2
    await service.close()


async def test_more_than_the_queue_holds_is_refused_at_once_and_counts_as_no_failure(store: PostgresStore) -> None:
    service = Service(store, settings_for(None, hash_concurrency=1, hash_queue=2))
    person = await service.person()
    gate = threading.Event()
    others = [asyncio.ensure_future(service.hasher._in_thread(gate.wait)) for _ in range(3)]
    await asyncio.sleep(0)
    for _ in range(10):
        with pytest.raises(UnavailableError) as refused:
            await service.login(person)
        assert refused.value.retry_after == 2
    gate.set()
    await asyncio.gather(*others)
    await service.login(person)
    await service.close()


async def test_a_caller_who_leaves_frees_his_place_when_his_hash_is_done(store: PostgresStore) -> None:
    hasher = PasswordHasher(settings_for(None, hash_concurrency=1, hash_queue=1, hash_memory_kib=1024))
    tasks = [asyncio.ensure_future(hasher.hash("a horse, a battery")) for _ in range(2)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(5):
        while hasher._held:
            await asyncio.sleep(0.001)
    await asyncio.gather(hasher.hash("a horse, a battery"), hasher.hash("a horse, a battery"))
    hasher.close()
