"""The names in a new module, all of them made of two."""

from __future__ import annotations

import keyword
import re
import sys
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from typing import NamedTuple

from pydantic import SecretStr

from coffee_core.cli.composition import MODULES, compose, find_modules
from coffee_core.domain.errors import CoffeeError
from coffee_core.persistence.settings import DatabaseSettings

LENGTH_MAX = 40
"""Characters: names of indexes are made of it, and PostgreSQL cuts names after 63 bytes."""

_WELL_FORMED = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*").fullmatch
RESERVED = frozenset({"coffee", "information_schema", "public", "tests"})
"""Schemas that exist in every database, and the folder beside the package."""


class Names(NamedTuple):
    """What the templates call `$name` and so on."""

    name: str
    """Package, schema, entry point: `coffee_notes`."""
    resource: str
    """Table and last segment of the path: `note`."""
    distribution: str
    """`coffee-notes`."""
    service: str
    """First segment of the path: `coffee-notes-service`."""
    module_class: str
    """`CoffeeNotesModule`."""
    constant: str
    """`COFFEE_NOTES`."""
    base_class: str
    """Of the Entities: `CoffeeNotesEntity`, or `CoffeeNotesBase` where a resource of the same name has taken that."""
    entry_class: str
    """`NoteEntry`."""
    entity_class: str
    """`NoteEntity`."""
    core_version: str
    """The release of coffee-core that this module is written for."""


def names_for(name: str, resource: str | None = None) -> Names:
    """All names; one that cannot be used is a `CoffeeError` that says why."""
    resource = name if resource is None else resource
    _check("a module's name", name)
    _check("a resource's name", resource)
    if name in RESERVED or name.startswith("pg_"):
        raise CoffeeError(f"{name} cannot be a module's name: PostgreSQL, coffee or the tests have taken it")
    return Names(
        name=name,
        resource=resource,
        distribution=name.replace("_", "-"),
        service=f"{name.replace('_', '-')}-service",
        module_class=f"{_camel(name)}Module",
        constant=name.upper(),
        base_class=f"{_camel(name)}{'Base' if _camel(name) == _camel(resource) else 'Entity'}",
        entry_class=f"{_camel(resource)}Entry",
        entity_class=f"{_camel(resource)}Entity",
        core_version=version("coffee-core"),
    )


def check_free(name: str, resource: str) -> None:
    """Refuse names that a module or a package here has: one of the two could not be imported, or not be mounted."""
    if any(entry.name == name for entry in entry_points(group=MODULES)):
        raise CoffeeError(f"there is a module {name} already: choose another name")
    if name in sys.stdlib_module_names or find_spec(name) is not None:
        raise CoffeeError(f"a Python package {name} is installed already: choose another name")
    found = compose(find_modules(), database=DatabaseSettings(url=SecretStr("postgresql:///")))  # never opened
    for module, mounted in zip(found.modules, found.mounted, strict=True):
        if any(route.name == f"{resource}_search" for route in mounted.routes):
            raise CoffeeError(
                f"{module.service} has a resource {resource} already, and the names of operations are unique over all "
                "modules: choose another one with --resource"
            )


def _check(what: str, name: str) -> None:
    if not _WELL_FORMED(name) or len(name) > LENGTH_MAX:
        raise CoffeeError(
            f"{what} is made of lower-case words, with digits and single underscores, at most {LENGTH_MAX} characters "
            f"(note, saved_search); {name[:100]!r} is not"
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise CoffeeError(f"{what} cannot be {name!r}: it is a word of Python")


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
