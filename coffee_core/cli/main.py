"""`coffee`: our own commands, and those that installed packages register (see `plugins`)."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

import typer

from coffee_core.cli import plugins
from coffee_core.cli.describe import mistakes, unknown_variables
from coffee_core.cli.show import OWN_SETTINGS
from coffee_core.domain.errors import CoffeeError

OWN = {
    "up": "coffee_core.cli.up",
    "doctor": "coffee_core.cli.doctor",
    "settings": "coffee_core.cli.show",
    "version": "coffee_core.cli.show",
}
"""Our own commands, and the module of each with a function of its name."""

TOLERANT = {"settings", "doctor", "version"}
"""Commands that explain what is wrong, and so have to run when something is; so does `coffee GROUP check`."""


def application(arguments: Sequence[str]) -> typer.Typer:
    """The program for these arguments. Only the command that is asked for is imported: `--help` imports them all."""
    app = typer.Typer(
        name="coffee", help="Run and operate the platform.", no_args_is_help=True, pretty_exceptions_enable=False
    )
    app.callback()(_keep_subcommands)
    plugged = plugins.command_names()
    asked = next((argument for argument in arguments if argument in plugged or argument in OWN), None)
    for name in OWN if asked is None else [asked]:
        if name in OWN:
            app.command(name)(_own(name))
    for name in plugged if asked is None else [asked]:
        if name not in plugged or name in OWN:
            continue
        try:
            loaded = plugins.load_command(name)
        except CoffeeError as error:
            if name == asked:
                raise
            app.command(name, help=error.detail)(_keep_subcommands)
            continue
        if isinstance(loaded, typer.Typer):
            app.add_typer(loaded, name=name)
        else:
            app.command(name)(loaded)
    return app


def _own(name: str) -> Callable[..., object]:
    command: Callable[..., object] = getattr(import_module(OWN[name]), name)
    return command


def _keep_subcommands() -> None:
    """Run and operate the platform."""


def check_settings() -> None:
    """Refuse to start on a variable that is wrong or that nobody reads: a typing error must not become a default."""
    problems = settings_problems()
    if problems:
        raise CoffeeError("\n".join(problems))


def settings_problems() -> list[str]:
    """A sentence for every variable that is wrong or that nobody reads."""
    kinds = [kind for _, kind in plugins.settings_classes(OWN_SETTINGS)]
    return unknown_variables(kinds) + mistakes(kinds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; what we can say in a sentence is said in one, without a traceback, and ends with status 1."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app = application(given)
        if given and given[0] not in TOLERANT and given[1:2] != ["check"] and "--help" not in given:
            check_settings()
        app(args=given, prog_name="coffee")
    except CoffeeError as error:
        sys.stderr.write(f"coffee: {error.detail}\n")
        sys.exit(1)
    except Exception as error:
        if not _of_missing_tables(error):
            raise
        sys.stderr.write(f"coffee: {error}: run `coffee migrate`, and try again\n")
        sys.exit(1)


def _of_missing_tables(error: Exception) -> bool:
    """Whether the database lacks what a migration makes. Without asyncpg loaded, no command has asked a database."""
    asyncpg = sys.modules.get("asyncpg")
    return asyncpg is not None and isinstance(error, (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError))


if __name__ == "__main__":
    main()
