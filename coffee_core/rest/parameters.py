"""Query parameters, read strictly: unknown, repeated or valueless ones are refused and the known ones named."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import unquote_to_bytes

from coffee_core.domain.errors import FieldError, InputError


def parse(query: bytes, known: Collection[str]) -> dict[str, str]:
    """`name=value&...` as a mapping; only names in `known`."""
    found: dict[str, str] = {}
    if not query:
        return found
    for part in query.split(b"&"):
        raw_name, equals, raw_value = part.partition(b"=")
        if b"%" in part or b"+" in part:
            raw_name = unquote_to_bytes(raw_name.replace(b"+", b" "))
            raw_value = unquote_to_bytes(raw_value.replace(b"+", b" "))
        try:
            name, value = raw_name.decode(), raw_value.decode()
        except UnicodeDecodeError:
            raise InputError("the query is not UTF-8") from None
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise _bad(name, f"is unknown; there are: {there}")
        if not equals:
            raise _bad(name, "has no value")
        if name in found:
            raise _bad(name, "is given twice")
        found[name] = value
    return found


def parse_write(query: bytes, known: Collection[str] = ()) -> dict[str, str]:
    """The same, for a write: `dryRun` is known as well, but the route takes it (`coffee_core.rest.dry_run`)."""
    found = parse(query, (*known, "dryRun"))
    if "dryRun" in found:
        raise _bad("dryRun", "is taken by the operation's route: call its handler through that")
    return found


def _bad(name: str, detail: str) -> InputError:
    shown = name[:100]
    return InputError(f"parameter {shown!r} {detail}", errors=[FieldError(f"?{shown}", detail)])


def whole(given: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """A whole number from `low` to `high`."""
    text = given.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and low <= int(text) <= high):
        raise _bad(name, f"must be a whole number from {low} to {high}")
    return int(text)


def choice(given: Mapping[str, str], name: str, default: str, allowed: Collection[str]) -> str:
    """One of `allowed`."""
    text = given.get(name, default)
    if text not in allowed:
        raise _bad(name, f"must be one of {', '.join(allowed)}")
    return text


def flag(given: Mapping[str, str], name: str, *, default: bool) -> bool:
    """`true` or `false`."""
    return choice(given, name, "true" if default else "false", ("true", "false")) == "true"


def names(given: Mapping[str, str], name: str, known: Mapping[str, str]) -> tuple[str, ...] | None:
    """A comma list of wire names, as the names they stand for; None if the parameter is not there."""
    text = given.get(name)
    if text is None:
        return None
    found: dict[str, None] = {}
    for wire in text.split(","):
        if wire not in known:
            raise _bad(name, f"knows no {wire[:100]!r}; there are {', '.join(_shown(known))}")
        found[known[wire]] = None
    return tuple(found)


def _shown(known: Mapping[str, str]) -> list[str]:
    """Each field once, by its wire name (the first name that stands for it)."""
    seen: dict[str, str] = {}
    for wire, name in known.items():
        seen.setdefault(name, wire)
    return list(seen.values())
