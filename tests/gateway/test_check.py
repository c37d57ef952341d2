"""`coffee gateway check` says what is wrong before it serves anybody, and what to change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.check import problems
from gateway.data_plane.settings import AccessLogSettings, DataPlaneSettings
from tests.gateway.test_settings import a_valid_one
from tests.gateway.verdict.rig import KEY, SECRET


def found(tmp_path: Path, routes: Any = None, *, upstream: Any = None, log: Any = None, **settings: Any) -> list[str]:
    if routes is not None:
        file = tmp_path / "routes.json"
        file.write_text(json.dumps({"routes": routes}))
        settings["routes_file"] = file
    return problems(a_valid_one(**settings), DataPlaneSettings(**(upstream or {})), AccessLogSettings(**(log or {})))


def test_a_good_configuration_has_none(tmp_path: Path) -> None:
    assert found(tmp_path, [{"name": "reports", "pattern": "/report-service/**", "upstream": "saas"}]) == []


def test_a_certificate_that_is_not_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFEE_GATEWAY_TLS_CERTIFICATE", str(tmp_path / "chain.pem"))
    (said,) = found(tmp_path)
    assert said == f"TLS: {tmp_path / 'chain.pem'} or {tmp_path / 'chain.pem'}: No such file or directory"


REPORTS = {"name": "reports", "pattern": "/report-service/**", "upstream": "saas"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param(
            {"upstream": {"canaries": {"sass": {"targets": ["http://a"]}}}},
            "COFFEE_GATEWAY_UPSTREAM_CANARIES: `sass` is no upstream: say one of identity, saas, saas-data",
            id="a canary of nothing",
        ),
        pytest.param(
            {"upstream": {"mirrors": {"saas": {"targets": ["https://a"]}}}},
            "COFFEE_GATEWAY_UPSTREAM_MIRRORS: saas: an upstream is `http://host[:port]`",
            id="a mirror over TLS",
        ),
        pytest.param(
            {"upstream": {"concurrency": {"sass": 5}}},
            "COFFEE_GATEWAY_UPSTREAM_CONCURRENCY: `sass` is no upstream: say one of identity, saas, saas-data",
            id="a bound on nothing",
        ),
        pytest.param(
            {"upstream": {"cache_routes": {"shared-post": {}}}},
            "COFFEE_GATEWAY_UPSTREAM_CACHE_ROUTES: `shared-post` is no route to an upstream: say one of auth",
            id="a cache of nothing",
        ),
        pytest.param({"routes": [{**REPORTS, "name": "service"}]}, "choose a new one", id="a name that is taken"),
        pytest.param(
            {"routes": [{**REPORTS, "access": "public", "plan": "PAID"}]}, '"access": "session"', id="a public plan"
        ),
        pytest.param(
            {"routes": [REPORTS, {**REPORTS, "name": "one", "pattern": "/report-service/api/one"}]},
            "`one` is never taken, because `reports` (/report-service/**) comes before it: move it up",
            id="a route behind another",
        ),
        pytest.param({"routes": [{**REPORTS, "upstream": "sass"}]}, "routes.0.upstream", id="no such upstream"),
        pytest.param({"port": 9292}, "9292 is also COFFEE_METRICS_PORT", id="one port twice"),
        pytest.param({"log": {"path": "/nowhere/at/all"}}, "the folder /nowhere/at is not there", id="no folder"),
    ],
)
def test_each_mistake_is_a_sentence_that_says_what_to_change(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    (sentence,) = found(tmp_path, **given)
    assert says in sentence


def run(**variables: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("COFFEE_")} | variables
    command = (sys.executable, "-m", "coffee_core.cli.main", "gateway", "check")
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_the_command_ends_with_status_1_if_anything_is_wrong_and_repeats_no_secret() -> None:
    good = run(COFFEE_JWT_SECRET=SECRET, COFFEE_IDENTITY_SIGNING_KEY=KEY)
    assert (good.returncode, SECRET in good.stdout) == (0, False), good.stderr
    assert "✓ the gateway on 127.0.0.1:8009 would start" in good.stdout
    bad = run(COFFEE_JWT_SECRET="hunter2", COFFEE_SAAS_URL="ftp://x")
    assert bad.returncode == 1
    for says in ("COFFEE_JWT_SECRET: too weak", "COFFEE_IDENTITY_SIGNING_KEY is not set", "COFFEE_SAAS_URL: "):
        assert says in bad.stdout
    assert "hunter2" not in bad.stdout + bad.stderr
    assert " to change: the gateway would not start" in bad.stdout
