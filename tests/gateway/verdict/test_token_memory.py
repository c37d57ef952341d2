"""Tokens of callers who are here now are found at once; what holds of any token holds of them."""

from __future__ import annotations

from coffee_core.cache.local import QueueCache
from gateway.verdict.exchange import TokenRecord
from gateway.verdict.token import Claims
from gateway.verdict.token_memory import RECENT, TokenMemory


def record() -> TokenRecord:
    return TokenRecord(Claims("1", "sid", "2", "3", 1e12), 100, 1e12)


def memory() -> TokenMemory:
    return TokenMemory(QueueCache[TokenRecord](64 << 20))


def test_a_token_that_was_asked_for_is_a_recent_one_with_the_same_record() -> None:
    tokens, known = memory(), record()
    tokens.set(b"token", known)
    assert b"token" not in tokens.recent
    assert tokens.get(b"token") is known
    assert tokens.recent[b"token"] is known


def test_a_token_that_is_verified_anew_has_only_its_new_record() -> None:
    tokens, known = memory(), record()
    tokens.set(b"token", record())
    tokens.get(b"token")
    tokens.set(b"token", known)
    assert b"token" not in tokens.recent
    assert tokens.get(b"token") is known


def test_when_secrets_change_no_token_is_known() -> None:
    tokens = memory()
    tokens.set(b"token", record())
    tokens.get(b"token")
    tokens.clear()
    assert not tokens.recent
    assert tokens.get(b"token") is None


def test_recent_ones_are_bounded() -> None:
    tokens = memory()
    for number in range(RECENT + 10):
        tokens.set(b"%d" % number, record())
        tokens.get(b"%d" % number)
        assert len(tokens.recent) <= RECENT
