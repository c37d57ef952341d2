"""What is read from strangers (addresses, tokens, cookies), and the plan that contracts give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coffee_core.domain.errors import InputError, UnauthenticatedError
from coffee_core.domain.plan import Plan
from coffee_core.wire.message import BufferedBody, Request
from modules.identity.answers import SessionCookie
from modules.identity.attempts import Attempts
from modules.identity.email import LONGEST, normalise
from modules.identity.plan import Term, plan_at
from modules.identity.tokens import (
    AccessClaims,
    AccessTokens,
    digest,
    new_refresh_token,
    parse_refresh_token,
    same,
)
from tests.modules.identity.rig import JWT_SECRET, settings_for

SETTINGS = settings_for(None)
NOW = datetime(2026, 11, 21, tzinfo=UTC)
CLAIMS = AccessClaims(5, "A" * 22, 6, 7)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (" Ada@Example.COM ", "ada@example.com"),
        ("ada+news@example.co.uk", "ada+news@example.co.uk"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("\uff41\uff44\uff41@example.com", "ada@example.com"),
    ],
)
def test_an_address_has_one_spelling(text: str, address: str) -> None:
    assert normalise(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "ada", "@example.com", "ada@", "ada@localhost", "a b@example.com", "a@b@example.com", ".a@example.com",
     "a..b@example.com", "a@-example.com", "a@example..com", "a@[127.0.0.1]", '"a"@example.com', "a\n@example.com",
     "a@exa_mple.com", "x" * 65 + "@example.com", "a@" + "b." * 126 + "com", "a\x00@example.com"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        normalise(text)


@given(
    st.one_of(st.text(max_size=300), st.emails(), st.builds("{}@{}".format, st.text(max_size=30), st.text(max_size=30)))
)
def test_a_normalised_address_stays_as_it_is(text: str) -> None:
    try:
        address = normalise(text)
    except InputError:
        return
    assert normalise(address) == address
    if address.isascii():  # the capital of a dotless i is an i
        assert normalise(f" {address.upper()} ") == address
    assert len(address.encode()) <= LONGEST


@given(st.one_of(st.text(max_size=100), st.binary(max_size=60).map(lambda raw: raw.decode("latin-1"))))
def test_what_is_no_refresh_token_is_none(text: str) -> None:
    token = parse_refresh_token(text)
    assert token is None or token.text == text


def test_a_refresh_token_is_read_as_it_was_written() -> None:
    token = new_refresh_token()
    assert parse_refresh_token(token.text) == token
    following = token.renewed()
    assert (following.sid, following.family) == (token.sid, token.family)
    assert following.secret != token.secret
    assert parse_refresh_token(token.text + "\n") is None


def test_a_digest_tells_nothing_and_matches_its_secret_alone() -> None:
    token = new_refresh_token()
    assert token.secret not in digest(token.secret)
    assert same(token.secret, digest(token.secret))
    assert not same(token.secret, digest(token.family))
    assert not same(token.secret, None)


@pytest.mark.parametrize("changed", [{}, {"jwt_issuer": "coffee", "jwt_audience": "web"}])
def test_an_access_token_is_read_as_it_was_issued(changed: dict[str, str]) -> None:
    tokens = AccessTokens(settings_for(None, **changed))
    assert tokens.read(tokens.issue(CLAIMS, now=datetime.now(UTC).timestamp())) == CLAIMS


def test_an_access_token_that_has_run_out_is_good_for_nothing_but_its_own_logout() -> None:
    tokens = AccessTokens(SETTINGS)
    old = tokens.issue(CLAIMS, now=1000)
    with pytest.raises(UnauthenticatedError):
        tokens.read(old)
    assert tokens.read(old, expired=True) == CLAIMS


@pytest.mark.parametrize("expired", [False, True])
def test_only_tokens_of_our_own_are_read(expired: bool) -> None:
    tokens = AccessTokens(SETTINGS)
    said = jwt.decode(tokens.issue(CLAIMS, now=1000), options={"verify_signature": False})
    said |= {"exp": 9_999_999_999}
    forged = [
        jwt.encode(said, "another key of another service, long", algorithm="HS256"),
        jwt.encode(said, None, algorithm="none"),
        jwt.encode(said, JWT_SECRET * 2, algorithm="HS512"),
        jwt.encode({name: value for name, value in said.items() if name != "sid"}, JWT_SECRET, algorithm="HS256"),
        "", "a.b.c", "é", "." * 5000,
    ]  # fmt: skip
    for text in forged:
        with pytest.raises(UnauthenticatedError):
            tokens.read(text, expired=expired)


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (b"coffee_session=abc", "abc"),
        (b'theme=dark; coffee_session="abc"; x=1', "abc"),
        (b"theme=dark, coffee_session=abc", None),  # one cookie, as the gateway reads it
        (b"coffee_session=abc; coffee_session=abc", "abc"),
        (b"coffee_session=abc; coffee_session=def", None),
        (b"xcoffee_session=abc", None),
        (b"coffee_session", None),
        (b"", None),
    ],
)
def test_the_session_cookie_is_read_if_there_is_one_meaning(header: bytes, token: str | None) -> None:
    request = Request("POST", "/", b"", {b"cookie": header}, BufferedBody())
    assert SessionCookie(SETTINGS).read(request) == token


moments = st.integers(-50, 50).map(lambda hours: NOW + timedelta(hours=hours))
terms = st.builds(
    lambda plan, start, hours: Term(plan, start, None if hours is None else start + timedelta(hours=hours)),
    st.sampled_from(Plan), moments, st.none() | st.integers(1, 60),
)  # fmt: skip


@given(st.lists(terms, max_size=6))
def test_a_plan_holds_until_the_moment_that_is_named_and_not_longer_than_said(found: list[Term]) -> None:
    plan, until = plan_at(found, NOW)
    running = [term for term in found if term.start <= NOW and (term.end is None or term.end > NOW)]
    assert plan is max((term.plan for term in running), default=Plan.FREE)
    if until is not None:
        assert until > NOW
        assert any(until in (term.start, term.end) for term in found)
    last = NOW + timedelta(hours=200) if until is None else until - timedelta(seconds=1)
    assert plan_at(found, last).plan is plan


def test_a_contract_counts_from_its_start_and_not_at_its_end() -> None:
    term = Term(Plan.PAID, NOW, NOW + timedelta(hours=1))
    assert plan_at([term], NOW).plan is Plan.PAID
    assert plan_at([term], NOW + timedelta(hours=1)) == (Plan.FREE, None)


@pytest.mark.parametrize(
    ("one", "other", "same_subscriber"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::1", "::2", True),
    ],
)
def test_addresses_of_one_subscriber_are_counted_together(one: str, other: str, same_subscriber: bool) -> None:
    attempts = Attempts(SETTINGS, None)
    assert (attempts.address(one) == attempts.address(other)) is same_subscriber
    assert attempts.address("unix:") is None


@given(st.integers(1, 10_000))
@example(SETTINGS.login_account_attempts - 1)
@example(SETTINGS.login_account_attempts)
def test_delays_grow_and_are_bounded(failures: int) -> None:
    attempts = Attempts(SETTINGS, None)
    account = attempts.account("ada@example.com")
    shorter, longer = attempts.delay(account, failures), attempts.delay(account, failures + 1)
    assert 0 <= shorter <= longer <= SETTINGS.login_delay_max_seconds
    assert (shorter > 0) is (failures >= SETTINGS.login_account_attempts)
    assert "ada" not in account.key
