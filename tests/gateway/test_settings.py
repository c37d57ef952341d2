"""A gateway that is set up wrongly does not start, and says everything that is wrong at once."""

from __future__ import annotations

from typing import Any

import pytest

from coffee_core.domain.errors import CoffeeError
from gateway.settings import GatewaySettings
from tests.gateway.verdict.rig import KEY, SECRET


def a_valid_one(**changed: Any) -> GatewaySettings:
    return GatewaySettings(**({"jwt_secret": SECRET, "identity_signing_key": KEY} | changed))


def test_the_defaults_with_two_secrets_are_enough() -> None:
    assert a_valid_one().problems() == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        pytest.param({"jwt_secret": None}, "COFFEE_JWT_SECRET is not set", id="no secret"),
        pytest.param({"jwt_secret": "secret"}, "COFFEE_JWT_SECRET: too weak", id="a weak secret"),
        pytest.param({"jwt_previous_secret": "a" * 40}, "PREVIOUS_SECRET: too weak", id="a weak one before"),
        pytest.param({"identity_signing_key": None}, "COFFEE_IDENTITY_SIGNING_KEY is not set", id="no key"),
        pytest.param({"jwt_algorithms": "HS256,none"}, "`none` is not one of", id="alg none"),
        pytest.param({"jwt_algorithms": ""}, "name at least one", id="no algorithm"),
        pytest.param({"jwt_algorithms": "RS256"}, "COFFEE_GATEWAY_JWKS_URL is not set", id="no public keys"),
        pytest.param({"saas_url": "ftp://x"}, "COFFEE_SAAS_URL", id="a URL that is none"),
        pytest.param({"saas_data_url": "http://a,"}, "COFFEE_SAAS_DATA_URL", id="an empty target"),
        pytest.param({"identity_url": "unix:/tmp/x"}, "COFFEE_IDENTITY_URL", id="where it cannot ask"),
        pytest.param({"cors_origins": "*"}, "`*` is no origin", id="every origin"),
        pytest.param({"cors_origins": "https://a.example/x"}, "is no origin", id="an origin with a path"),
        pytest.param({"credential_upstreams": "everyone"}, "`everyone` is no upstream", id="an unknown upstream"),
    ],
)
def test_one_mistake_is_one_sentence_and_no_secret_is_in_it(changed: dict[str, Any], says: str) -> None:
    (problem,) = a_valid_one(**changed).problems()
    assert says in problem
    assert "aaaa" not in problem


def test_all_mistakes_are_said_at_once() -> None:
    with pytest.raises(CoffeeError) as refused:
        GatewaySettings(jwt_secret="short", saas_url="x", cors_origins=("*",)).check()
    assert len(refused.value.detail.splitlines()) >= 4
