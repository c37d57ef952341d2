"""What is rendered is accepted by the program that it is for, several targets with weights included."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from gateway.data_plane.settings import DataPlaneSettings
from gateway.render import caddy, envoy, nginx, traefik
from gateway.render.doors import Doors, doors, path_expression
from tests.gateway.render.rig import program
from tests.gateway.test_settings import a_valid_one

SAAS = "http://127.0.0.1:7179;weight=3,http://127.0.0.1:7189"


def told() -> Doors:
    return doors(a_valid_one(saas_url=SAAS, identity_url="http://127.0.0.1:7179"), listen="127.0.0.1:8080")


@pytest.mark.parametrize(
    ("name", "text", "arguments"),
    [
        pytest.param(
            "nginx", lambda: nginx.render(told(), DataPlaneSettings(), drain=10), ("-e", "stderr", "-t", "-c")
        ),
        pytest.param("caddy", lambda: caddy.render(told()), ("validate", "--adapter", "caddyfile", "--config")),
        pytest.param("envoy", lambda: envoy.render(told()), ("--mode", "validate", "-c")),
    ],
    ids=["nginx", "caddy", "envoy"],
)
async def test_the_program_accepts_it(name: str, text: object, arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert callable(text)
    file = tmp_path / {"envoy": "envoy.yaml"}.get(name, name)
    file.write_text(text())
    (tmp_path / "temp").mkdir()
    prefix = ("-e", "stderr", "-p", str(tmp_path)) if name == "nginx" else ()
    process = await asyncio.create_subprocess_exec(
        program(name), *prefix, *arguments, str(file), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


def test_nginx_asks_over_the_socket_file_unless_it_is_told_where_the_gateway_is() -> None:
    beside = a_valid_one(forward_auth_socket="/run/coffee/verdicts.sock")
    own = nginx.render(doors(beside, listen="127.0.0.1:8080"), DataPlaneSettings(), drain=10)
    assert "server unix:/run/coffee/verdicts.sock;" in own
    told = nginx.render(doors(beside, listen="127.0.0.1:8080", gateway="gw:8009"), DataPlaneSettings(), drain=10)
    assert "server gw:8009;" in told
    assert "unix:" not in told


def test_traefik_has_every_upstream_with_its_targets_weights() -> None:
    services = yaml.safe_load(traefik.render(told()))["http"]["services"]
    assert services["coffee-saas"]["loadBalancer"]["servers"] == [
        {"url": "http://127.0.0.1:7179", "weight": 3},
        {"url": "http://127.0.0.1:7189", "weight": 1},
    ]


@pytest.mark.parametrize(
    ("pattern", "expression"),
    [
        ("/identity-service/**", "^/identity-service(/.*)?/?$"),
        ("/a-service/api/*/x", "^/a-service/api/[^/]+/x/?$"),
        ("/*-service/**", "^/[a-z0-9]+(-[a-z0-9]+)*-service(/.*)?/?$"),
    ],
)
def test_a_route_is_the_same_paths_as_an_expression(pattern: str, expression: str) -> None:
    assert path_expression(pattern) == expression


def test_nginx_has_as_many_processes_as_processors_unless_it_is_told_how_many() -> None:
    assert "worker_processes auto;" in nginx.render(told(), DataPlaneSettings(), drain=10)
    assert "worker_processes 3;" in nginx.render(told(), DataPlaneSettings(), drain=10, workers=3)
