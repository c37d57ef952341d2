"""The processes of the platform: which command each runs, where it answers, and what it is told."""

import os
import signal
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from coffee_core.cli.ports import next_free_port
from coffee_core.cli.settings import PlatformSettings
from coffee_core.embedded.asking import is_well
from coffee_core.embedded.child import Command
from coffee_core.embedded.folder import DataFolder
from coffee_core.embedded.servers import ServerName, ServerUrls

SECRETS = {
    "COFFEE_JWT_SECRET": "jwt_secret",
    "COFFEE_IDENTITY_SIGNING_KEY": "identity_key",
    "COFFEE_CURSOR_KEY": "cursor_key",
}
"""Variable and name of each secret that is made at the first start, unless it is given."""

SERVERS: dict[ServerName, str] = {
    "postgres": "COFFEE_DATABASE_URL",
    "valkey": "COFFEE_REDIS_URL",
    "nats": "COFFEE_BROKER_URL",
    "clickhouse": "COFFEE_CLICKHOUSE_URL",
}
"""Each embedded server, and the variable that names a real one instead."""


class DataPlane(StrEnum):
    """Who moves the bytes between callers and modules."""

    GATEWAY = "gateway"
    NGINX = "nginx"


class Ports(NamedTuple):
    """The ports of this run."""

    door: int
    """Where callers come to: the gateway's, or that of nginx before it."""

    gateway: int
    modules: int
    data: int
    metrics: int
    modules_metrics: int
    data_metrics: int
    worker_metrics: int


class Part(NamedTuple):
    """One process."""

    name: str
    arguments: tuple[str, ...]
    """Of the `coffee` command; the first names the command that has to be installed."""

    base_url: str | None
    """Where it answers `/health/ready`; without, it is up when it runs."""

    variables: Mapping[str, str]
    """What it alone is told."""

    stop_signal: signal.Signals = signal.SIGTERM
    """Asks it to finish what is in hand and end."""


def choose_ports(settings: PlatformSettings, data_plane: DataPlane = DataPlane.GATEWAY) -> Ports:
    """A free port for each; no two parts get the same."""
    given: set[int] = set()
    door = next_free_port(settings.gateway_port, given)
    gateway = door if data_plane is DataPlane.GATEWAY else next_free_port(settings.gateway_port + 1, given)
    wanted = [settings.modules_port, settings.data_port, *[settings.metrics_port] * 4]
    return Ports(door, gateway, *(next_free_port(port, given) for port in wanted))


def parts(ports: Ports, folder: Path) -> list[Part]:
    """All of them, in the order in which they are stopped: the door first."""
    nginx = ("gateway", "nginx", "--listen", f"127.0.0.1:{ports.door}", "--gateway", f"127.0.0.1:{ports.gateway}")
    told = {"COFFEE_METRICS_PORT": str(ports.metrics)}
    if "COFFEE_GATEWAY_AUDIT_PATH" not in os.environ:
        told["COFFEE_GATEWAY_AUDIT_PATH"] = str(folder / "logs" / "audit.jsonl")
    door = []
    if ports.door != ports.gateway:
        arguments = (*nginx, "--folder", str(folder / "nginx"))
        door = [Part("nginx", arguments, _local(ports.door), {}, signal.SIGQUIT)]
        others = os.environ.get("COFFEE_GATEWAY_TRUSTED_PROXIES")
        told["COFFEE_GATEWAY_TRUSTED_PROXIES"] = f"{others},127.0.0.1" if others else "127.0.0.1"
    return [
        *door,
        Part("gateway", ("gateway",), _local(ports.gateway), told),
        Part("modules", ("modules",), _local(ports.modules), _told(ports.modules, ports.modules_metrics)),
        Part(
            "data",
            ("modules", "--only", "social_profile"),
            _local(ports.data),
            {**_told(ports.data, ports.data_metrics), "COFFEE_HTTP_AUDIENCE": "saas-data"},
        ),
        Part("worker", ("worker",), None, {"COFFEE_METRICS_PORT": str(ports.worker_metrics)}),
    ]


def _local(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _told(port: int, metrics: int) -> dict[str, str]:
    return {"COFFEE_MODULES_PORT": str(port), "COFFEE_METRICS_PORT": str(metrics)}


def shared_variables(
    settings: PlatformSettings, servers: ServerUrls, folder: DataFolder, ports: Ports
) -> dict[str, str]:
    """What every process is told: our own environment, where the servers are, and the secrets they share."""
    embedded = dict(
        zip(
            SERVERS.values(),
            (servers.database_url, servers.redis_url, servers.broker_url, servers.clickhouse_url),
            strict=True,
        )
    )
    variables = {**os.environ, **{name: url for name, url in embedded.items() if url is not None}}
    variables.setdefault("COFFEE_DATABASE_READ_URL", variables["COFFEE_DATABASE_URL"])
    for variable, name in SECRETS.items():
        if variable not in variables:
            variables[variable] = folder.secret(name)
    variables |= {
        "COFFEE_GATEWAY_PORT": str(ports.gateway),
        "COFFEE_MODULES_PORT": str(ports.modules),
        "COFFEE_SAAS_URL": settings.saas_url or _local(ports.modules),
        "COFFEE_SAAS_DATA_URL": settings.saas_data_url or _local(ports.data),
        "COFFEE_IDENTITY_URL": settings.identity_url or _local(ports.modules),
        "PYTHONUNBUFFERED": "1",  # a log that is read after a crash has to have the last lines
    }
    return variables


def missing_servers(settings: PlatformSettings) -> list[ServerName]:
    """The servers that no URL names: the embedded ones stand in."""
    given = {
        "postgres": settings.database_url,
        "valkey": settings.redis_url,
        "nats": settings.broker_url,
        "clickhouse": settings.clickhouse_url,
    }
    return [name for name in SERVERS if given[name] is None]


def command(
    name: str,
    arguments: tuple[str, ...],
    folder: DataFolder,
    variables: Mapping[str, str],
    stop_signal: signal.Signals = signal.SIGTERM,
) -> Command:
    """`coffee ARGUMENTS` as a child of this process."""
    return Command(
        name=name,
        argv=[sys.executable, "-P", "-m", "coffee_core.cli.main", *arguments],
        cwd=Path.cwd(),
        log=folder.log(name),
        env=variables,
        stop_signal=stop_signal,
    )


async def answers(base_url: str | None) -> bool:
    """Whether it says that it is ready; what has no address is ready when it runs."""
    return base_url is None or await is_well("127.0.0.1", urlsplit(base_url).port or 80, "/health/ready")
