"""`coffee new-module`: a module of its own distribution, with tests that pass."""

from pathlib import Path
from typing import Annotated

import typer

from coffee_core.cli.new_module.names import Names, check_free, names_for
from coffee_core.cli.new_module.writing import place_for, write_module


def new_module(
    name: Annotated[str, typer.Argument(help="Package, folder and PostgreSQL schema: lower case, for example notes.")],
    *,
    resource: Annotated[
        str | None, typer.Option(help="What it keeps, in the singular, for example note; else the name.")
    ] = None,
    into: Annotated[Path, typer.Option(help="The folder in which the new folder is made.")] = Path(),
) -> None:
    """Write a new module into a folder of its name. Nothing that exists is touched."""
    names = names_for(name, resource)
    place_for(names, into)  # says so before it is taken for an installed package
    check_free(names.name, names.resource)
    folder = write_module(names, into)
    print(_next_steps(folder, names))


def _next_steps(folder: Path, names: Names) -> str:
    return "\n".join(
        [
            f"{folder} is written; {names.name}/module.py is the file to read first. Next:",
            f"  python3 -m pip install -e '{folder}[dev]'",
            f"  python3 -m pytest {folder}",
            f"  coffee up        # serves it at /{names.service}/api/{names.resource}",
        ]
    )
