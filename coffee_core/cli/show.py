"""`coffee settings` and `coffee version`: what is set, and what is installed."""

import sys
import textwrap
from importlib.metadata import version as installed_version

import typer
from pydantic_settings import BaseSettings
from rich.console import Console
from rich.markup import escape

from coffee_core.cli import plugins
from coffee_core.cli.describe import mistakes, settings_of, unknown_variables
from coffee_core.cli.settings import PlatformSettings, UpSettings
from coffee_core.embedded.settings import EmbeddedSettings

OWN_SETTINGS: list[type[BaseSettings]] = [PlatformSettings, UpSettings, EmbeddedSettings]
"""The classes of this package and of those below it that have no command of their own."""


def settings() -> None:
    """Print every setting: variable, value, default, meaning. Secrets are hidden."""
    kinds = list(plugins.settings_classes(OWN_SETTINGS))
    console = Console(soft_wrap=True, highlight=False)
    for package, kind in kinds:
        console.print(f"[bold]{package}.{kind.__name__}[/]")
        for row in settings_of(kind):
            default = "" if row.value == row.default else f"  (default {row.default})"
            console.print(f"  [cyan]{row.variable}[/]={escape(row.value)}[dim]{escape(default)}[/]")
            console.print(escape(textwrap.indent(textwrap.fill(row.sentence, 110), "      ")))
        console.print()
    classes = [kind for _, kind in kinds]
    problems = unknown_variables(classes) + mistakes(classes)
    for problem in problems:
        console.print(problem, style="red", markup=False)
    if problems:
        raise typer.Exit(1)


def version() -> None:
    """Print the versions of Coffee and of Python."""
    typer.echo(f"coffee {installed_version('coffee-core')}, Python {sys.version.split()[0]}")
