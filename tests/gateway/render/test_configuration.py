"""What is rendered is accepted by the program that it is for, several targets with weights included."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from coffee_core.domain.errors import CoffeeError
from gateway.command import app, asks_by
from gateway.data_plane.settings import DataPlaneSettings
from gateway.render import caddy, envoy, nginx, traefik
from gateway.render.doors import Doors, doors, path_expression
from gateway.render.programs import Lua, lua_of
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


def _an_nginx(folder: Path, configured: str) -> str:
    """That says how it was built."""
    program = folder / "nginx"
    program.write_text(
        f"#!/bin/sh\necho 'nginx version: nginx/1.27.1' >&2\necho 'configure arguments: {configured}' >&2\n"
    )
    program.chmod(0o755)
    return str(program)


def test_an_nginx_has_lua_if_it_was_built_with_it_or_has_its_module(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    dynamic = _an_nginx(tmp_path, f"--modules-path={modules} --with-threads")
    assert lua_of(dynamic) is None
    for name in ("ngx_http_lua_module.so", "ndk_http_module.so"):
        (modules / name).touch()
    found = lua_of(dynamic)
    assert found == Lua((f"{modules}/ndk_http_module.so", f"{modules}/ngx_http_lua_module.so")), (
        "in the order of loading"
    )
    text = nginx.render(told(), DataPlaneSettings(), drain=10, lua=found)
    assert f"load_module {modules}/ndk_http_module.so;\nload_module {modules}/ngx_http_lua_module.so;\n" in text
    built_in = lua_of(_an_nginx(tmp_path, "--prefix=/usr/local/openresty/nginx --add-module=../ngx_lua-0.10.27"))
    assert built_in == Lua()
    assert "load_module" not in nginx.render(told(), DataPlaneSettings(), drain=10, lua=built_in)


def test_lua_that_is_not_there_is_an_error_that_says_what_to_install(
    tmp_path: Path,
) -> None:
    program = _an_nginx(tmp_path, "--with-threads")
    done = CliRunner().invoke(app, ["render", "nginx", "--lua", "--program", program])
    assert isinstance(done.exception, CoffeeError)
    assert "libnginx-mod-http-lua" in str(done.exception)
    done = CliRunner().invoke(app, ["render", "caddy", "--lua"])
    assert str(done.exception) == "--lua: caddy has no Lua"


def test_lua_needs_an_address_of_the_gateway_and_no_name() -> None:
    for name, address, port in (
        ("10.0.0.7:8009", "10.0.0.7", "8009"),
        ("[::1]:1", "[::1]", "1"),
        ("localhost:1", "127.0.0.1", "1"),
    ):
        text = nginx.render(
            doors(a_valid_one(), listen="127.0.0.1:8080", gateway=name), DataPlaneSettings(), drain=1, lua=Lua()
        )
        assert f'local ADDRESS, PORT, OPENING = "{address}", {port},' in text
    with pytest.raises(CoffeeError, match="gw:8009 has a name"):
        nginx.render(
            doors(a_valid_one(), listen="127.0.0.1:8080", gateway="gw:8009"), DataPlaneSettings(), drain=1, lua=Lua()
        )


def test_an_nginx_that_has_lua_asks_by_it_unless_it_is_told_not_to_or_could_not_find_the_gateway(
    tmp_path: Path,
) -> None:
    able = _an_nginx(tmp_path, "--add-module=../ngx_lua-0.10.27")
    assert [asks_by(able, None, at) for at in (None, "10.0.0.7:8009", "gw:8009")] == [Lua(), Lua(), None]
    assert (asks_by(able, False, None), asks_by(able, True, "gw:8009")) == (None, Lua())
    unable = _an_nginx(tmp_path, "--with-threads")
    assert asks_by(unable, None, None) is None


@pytest.mark.parametrize(("workers", "streams"), [(1, 1), (8, 8)])
def test_each_of_several_gateway_processes_is_asked(workers: int, streams: int) -> None:
    asked = doors(a_valid_one(workers=workers), listen="127.0.0.1:8080")
    assert f"local STREAMS = {streams}\n" in nginx.render(asked, DataPlaneSettings(), drain=1, lua=Lua())
