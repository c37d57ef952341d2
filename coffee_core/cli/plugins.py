"""What other packages bring along: commands and settings, found through entry points, so that no name is known here."""

import inspect
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import TypeAlias

import typer
from pydantic_settings import BaseSettings

from coffee_core.cli.findings import Check
from coffee_core.domain.errors import CoffeeError

COMMANDS = "coffee.commands"
"""Each names a function, which becomes `coffee NAME`, or a `typer.Typer`, which becomes a group of commands."""

SETTINGS = "coffee.settings"
"""Each names a class of settings, so that `coffee settings` shows it and its variables are known ones."""

CHECKS = "coffee.checks"
"""Each names an async function that looks at one thing for `coffee doctor`: `coffee_core.cli.findings.Check`."""

# A command's parameters are its own business: Typer reads them from its signature.
Plugged: TypeAlias = Callable[..., object] | typer.Typer


def command_names() -> list[str]:
    """The commands that installed packages bring, sorted."""
    return sorted(entry.name for entry in entry_points(group=COMMANDS))


def load_command(name: str) -> Plugged:
    """The command of this name; a package that cannot be imported is an error that says why."""
    (entry, *_) = entry_points(group=COMMANDS, name=name)
    found = _load(entry)
    if not isinstance(found, typer.Typer) and not callable(found):
        raise CoffeeError(f"`{entry.value}` ({COMMANDS}: {name}) is neither a function nor a typer.Typer")
    return found


def settings_classes(own: list[type[BaseSettings]]) -> Iterator[tuple[str, type[BaseSettings]]]:
    """Our own, then those that packages register, as (package, class), each once."""
    seen: set[type[BaseSettings]] = set()
    plugged = [_load_settings(entry) for entry in sorted(entry_points(group=SETTINGS), key=lambda entry: entry.value)]
    for found in [*own, *plugged]:
        if found not in seen:
            seen.add(found)
            yield found.__module__, found


def checks() -> list[Check]:
    """What packages add to `coffee doctor`, sorted by name. One that cannot be imported is an error that says why."""
    return [_load_check(entry) for entry in sorted(entry_points(group=CHECKS), key=lambda entry: entry.name)]


def _load_check(entry: EntryPoint) -> Check:
    found = _load(entry)
    if not inspect.iscoroutinefunction(found):
        raise CoffeeError(f"`{entry.value}` ({CHECKS}: {entry.name}) is not an async function")
    return found


def _load_settings(entry: EntryPoint) -> type[BaseSettings]:
    found = _load(entry)
    if not (isinstance(found, type) and issubclass(found, BaseSettings)):
        raise CoffeeError(f"`{entry.value}` ({SETTINGS}: {entry.name}) is not a pydantic-settings class")
    return found


def _load(entry: EntryPoint) -> object:
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise CoffeeError(f"`coffee {entry.name}` cannot be loaded from `{entry.value}`: {error}") from error
