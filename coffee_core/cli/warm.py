"""What the platform's processes import, imported once before they are forked."""

import contextlib
from importlib import import_module
from importlib.metadata import entry_points

from coffee_core.cli import plugins
from coffee_core.cli.composition import DEMO, MODULES, WIRING

COMMANDS = ("demo", "gateway", "migrate", "modules", "worker")
"""That `coffee up` runs."""

LATE = (
    "alembic.context",
    "clickhouse_connect.driver.asyncclient",
    "coffee_core.messaging.brokers.nats",
    "uvloop",
)
"""Imported by them when they need it: what embedded servers need is needed by all."""


def warm() -> None:
    """Import it. What cannot be imported is left to the command that needs it, which says what is wrong."""
    for name in LATE:
        with contextlib.suppress(Exception):
            import_module(name)
    for group in (plugins.COMMANDS, plugins.SETTINGS, MODULES, WIRING, DEMO):
        for entry in entry_points(group=group):
            if group != plugins.COMMANDS or entry.name in COMMANDS:
                with contextlib.suppress(Exception):
                    entry.load()
