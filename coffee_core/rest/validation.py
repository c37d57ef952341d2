"""What pydantic found wrong, as the domain error that names each place."""

from __future__ import annotations

from typing import NoReturn

from pydantic import ValidationError

from coffee_core.domain.errors import FieldError, InputError


def pointer(location: tuple[int | str, ...]) -> str:
    """A location in a document as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in location)


def refuse(error: ValidationError) -> NoReturn:
    """The caller's mistakes, each with its place; what he sent is not repeated."""
    errors = [FieldError(pointer(e["loc"]), e["msg"]) for e in error.errors(include_url=False, include_input=False)]
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    raise InputError(f"{first.pointer or 'the body'}: {first.detail}{more}", errors=errors) from None
