"""Settings of the application that are more than a number."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from coffee_core.http.settings import HttpSettings


def test_networks_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFEE_HTTP_TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8,192.0.2.1")
    assert [str(network) for network in HttpSettings().trusted_proxies] == ["10.0.0.0/8", "fd00::/8", "192.0.2.1/32"]


def test_nobody_is_trusted_if_the_list_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFEE_HTTP_TRUSTED_PROXIES", "")
    assert HttpSettings().trusted_proxies == ()


@pytest.mark.parametrize("text", ["nonsense", "10.0.0.1/8", "10.0.0.0/33", "*"])
def test_what_is_no_network_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("COFFEE_HTTP_TRUSTED_PROXIES", text)
    with pytest.raises(ValidationError, match=r"is no network; write 10\.0\.0\.0/8"):
        HttpSettings()


@pytest.mark.parametrize("weak", ["hunter2", "changeme" * 4, "a" * 64], ids=["short", "a word", "one letter"])
def test_a_weak_signing_key_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, weak: str) -> None:
    monkeypatch.setenv("COFFEE_IDENTITY_SIGNING_KEY", weak)
    with pytest.raises(ValidationError, match="too weak: at least 32 random bytes") as refused:
        HttpSettings()
    assert weak not in str(refused.value)
