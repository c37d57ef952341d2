"""Writes a module from the files in `template/`: the whole of it, or nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from coffee_core.cli.new_module.names import Names
from coffee_core.domain.errors import CoffeeError

SUFFIX = ".template"
"""Keeps Python files from being taken for modules, by tools that look for some."""


def rendered(names: Names) -> Iterator[tuple[str, str]]:
    """Path below the new folder, and text, of each file. `__name__` and `__resource__` in paths stand for the names."""
    values = names._asdict()
    for path, template in _walk(files("coffee_core.cli.new_module") / "template", ""):
        target = path.removesuffix(SUFFIX).replace("__name__", names.name).replace("__resource__", names.resource)
        yield target, Template(template.read_text(encoding="utf-8")).substitute(values)


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(SUFFIX):
            yield f"{prefix}{entry.name}", entry


def place_for(names: Names, into: Path) -> Path:
    """The new folder; whatever has its name already is a `CoffeeError`."""
    target = into / names.name
    if target.exists() or target.is_symlink():
        raise _taken(target)
    return target


def _taken(target: Path) -> CoffeeError:
    return CoffeeError(f"{target} is there already: choose another name, or another folder with --into")


def write_module(names: Names, into: Path) -> Path:
    """Write it into `into`/name and answer that folder; whatever has that name already is a `CoffeeError`.

    It is written beside its place and moved there whole. The place is claimed by making an empty folder, which fails
    where there is anything, and which the move replaces.
    """
    target = place_for(names, into)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{names.name}-", dir=into) as beside:
            draft = Path(beside) / names.name
            for path, text in rendered(names):
                file = draft / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            target.mkdir()
            try:
                draft.rename(target)
            except BaseException:
                with suppress(OSError):  # no longer empty: somebody else's files are in it
                    target.rmdir()
                raise
    except FileExistsError:
        raise _taken(target) from None
    except OSError as error:
        raise CoffeeError(f"{target} cannot be written: {error.strerror}") from error
    return target
