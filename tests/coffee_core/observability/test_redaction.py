"""What never reaches a log or an error report."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.observability.redaction import is_hidden, redact, redact_text

HIDDEN = [
    *("password", "Authorization", "x-api-key", "X_API_KEY", "accessToken", "Set-Cookie", "jwtSecret", "x-bb-identity"),
    *("refresh_token", "email", "phoneNumber", "dob", "x-forwarded-for", "code", "sid"),
]
SHOWN = ["name", "size", "followers", "x-bb-partner-id", "x-bb-requestid", "content-type", "statusCode", "country_code"]


@pytest.mark.parametrize("name", HIDDEN)
def test_these_names_hide_their_values(name: str) -> None:
    assert is_hidden(name)


@pytest.mark.parametrize("name", SHOWN)
def test_these_do_not(name: str) -> None:
    assert not is_hidden(name)


@pytest.mark.parametrize(
    "text",
    [
        "could not reach postgresql://coffee:hunter2@db:5432/coffee",
        "authorization: Bearer hunter2",
        "got Basic hunter2== from the caller",
        "password=hunter2&x=1",
        'body {"password": "hunter2"}',
        "api_key: hunter2",
        "token eyJhbGciOi.eyJodW50ZXIy.hunter2",
        "mail to hunter2@example.com failed",
        "amqp://guest:hunter2@broker/",
    ],
)
def test_secrets_in_free_text_are_masked(text: str) -> None:
    assert "hunter2" not in redact_text(text)


@pytest.mark.parametrize("text", ["GET /a/b 200", "three tokens were read", "at 12:30 from 10.0.0.1", "{'size': 5}"])
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact_text(text) == text


SECRETS = st.dictionaries(st.sampled_from(HIDDEN), st.just("hunter2"))


@given(st.recursive(SECRETS, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(SHOWN), inner)))
def test_a_secret_is_masked_however_deep_it_lies(document: object) -> None:
    assert "hunter2" not in str(redact(document))


def test_a_document_without_end_is_cut() -> None:
    deep: object = "hunter2"
    for _ in range(2000):
        deep = [deep]
    assert "hunter2" not in str(redact(deep))
