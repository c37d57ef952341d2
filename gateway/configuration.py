"""What a gateway is told, read again at SIGHUP: the environment, a file of further variables, the options."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dotenv import dotenv_values

from coffee_core.cli.main import check_settings
from coffee_core.domain.errors import CoffeeError
from coffee_core.wire.settings import WireSettings
from gateway.check import problems
from gateway.data_plane.settings import AccessLogSettings, DataPlaneSettings
from gateway.data_plane.tls import TlsSettings
from gateway.settings import GatewaySettings


class Configuration(NamedTuple):
    """All settings of one gateway, checked."""

    gateway: GatewaySettings
    wire: WireSettings
    upstream: DataPlaneSettings
    access_log: AccessLogSettings
    tls: TlsSettings


class ConfigurationSource:
    """Reads the settings, at the start and at each reload.

    `told` are options, by the names of `GatewaySettings`; they stand before everything. `env_file` has lines
    `NAME=value`; a variable of the process's own environment stands before one of the file.
    """

    def __init__(self, told: Mapping[str, object], env_file: Path | None = None) -> None:
        self._told = told
        self._env_file = env_file
        self._of_file: set[str] = set()

    def read(self) -> Configuration:
        """As things are now. Whatever is wrong is one `CoffeeError`, and the environment is as it was."""
        before = dict(os.environ)
        of_file = self._of_file
        try:
            self._take_file()
            check_settings()
            gateway = GatewaySettings(**self._told)  # type: ignore[arg-type]  # names and types are those of the fields
            upstream, access_log = DataPlaneSettings(), AccessLogSettings()
            found = problems(gateway, upstream, access_log)
            if found:
                raise CoffeeError("\n".join(found))
            wire = WireSettings(drain_timeout=gateway.drain_seconds)
            return Configuration(gateway, wire, upstream, access_log, TlsSettings())
        except CoffeeError:
            os.environ.clear()
            os.environ.update(before)
            self._of_file = of_file
            raise

    def _take_file(self) -> None:
        if self._env_file is None:
            return
        try:
            text = self._env_file.open(encoding="utf-8")
        except OSError as error:
            raise CoffeeError(f"--env-file: {self._env_file}: {error.strerror}") from None
        with text:
            values = dotenv_values(stream=text, interpolate=False)
        bad = sorted(name for name, value in values.items() if value is None)
        if bad:
            raise CoffeeError(f"--env-file: {self._env_file}: no `NAME=value`: {', '.join(bad)}")
        for name in self._of_file - values.keys():
            os.environ.pop(name, None)
        own = os.environ.keys() - self._of_file
        taken = {name: value for name, value in values.items() if value is not None and name not in own}
        os.environ.update(taken)
        self._of_file = set(taken)


FIXED = ("host", "port", "workers", "metrics_host", "metrics_port", "forward_auth_socket", "drain_seconds")
"""Fields whose change needs a restart: the sockets and the supervisor outlive a reload."""


def left_as_they_are(old: GatewaySettings, new: GatewaySettings) -> list[str]:
    """Names of changed settings that a reload does not take up."""
    return [name for name in FIXED if getattr(old, name) != getattr(new, name)]
