"""Templates with blanks written `%{name}`: a sign that none of the rendered languages uses in this way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files

BLANK = re.compile(r"^([ \t]*)%\{([a-z_]+)\}$|%\{([a-z_]+)\}", re.MULTILINE)


PART = re.compile(r"^#: ([a-z]+)\n", re.MULTILINE)


def filled(name: str, **values: str) -> str:
    """The template of this name, filled in; one blank too few or too many is a fault of ours.

    Of several lines for a blank that stands alone in its line each is indented as the blank is.
    """
    return _filled(name, _read(name), values)


def parts(name: str, **values: str) -> dict[str, str]:
    """The same of a template that has several parts, each behind a line `#: its name`."""
    _, *found = PART.split(_filled(name, _read(name), values))
    return {part: text.rstrip("\n") for part, text in zip(found[::2], found[1::2], strict=True)}


def lines(*parts: str) -> str:
    """Under each other."""
    return "\n".join(parts)


def _read(name: str) -> str:
    return files("gateway.render").joinpath("templates", name).read_text(encoding="utf-8")


def _filled(name: str, text: str, values: Mapping[str, str]) -> str:
    wanted = {found[2] or found[3] for found in BLANK.finditer(text)}
    if wanted != values.keys():
        raise ValueError(f"{name}: {sorted(wanted ^ values.keys())}")

    def fill(found: re.Match[str]) -> str:
        indent, alone, within = found.groups()
        if alone is None:
            return values[within]
        return "\n".join(f"{indent}{line}".rstrip() for line in values[alone].split("\n"))

    return BLANK.sub(fill, text)
