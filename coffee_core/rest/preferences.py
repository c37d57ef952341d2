"""`Prefer` (RFC 7240), read strictly: a preference that is not known is refused, and the known ones are named."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from dataclasses import replace

from coffee_core.domain.errors import FieldError, InputError
from coffee_core.domain.search import CountMode
from coffee_core.rest.route import Parameter, Preferences, Route
from coffee_core.wire.message import Handler, Request, Response

RETURN: Preferences = {"return": ("representation", "minimal")}
"""Whether a write answers the record, or its headers alone."""
COUNT: Preferences = {"count": tuple(CountMode)}
"""The same as the parameter `count`."""
EVERYWHERE: Preferences = {"handling": ("strict",)}
"""What every route takes: nothing here is lenient."""

_ONE = re.compile(
    r'([!#$%&\'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"([^"\\]*)"|([!#$%&\'*+.^_`|~0-9A-Za-z-]+))'
).fullmatch


def read(header: bytes, known: Preferences) -> dict[str, str]:
    """Each preference by its name in lower case; one that is unknown, malformed or there twice is `InputError`."""
    known = {**known, **EVERYWHERE}
    found: dict[str, str] = {}
    for part in header.decode("latin-1").split(","):
        text = part.strip()
        if not text:
            continue
        match = _ONE(text)
        name = match[1].lower() if match else text.partition("=")[0].strip().lower()
        value = "" if match is None else match[2] if match[2] is not None else match[3]
        if value not in known.get(name, ()):
            there = ", ".join(f"{name}={value}" for name, values in known.items() for value in values)
            raise _bad(f"knows no {text[:100]!r}; there are {there}")
        if name in found:
            raise _bad(f"says {name!r} twice")
        found[name] = value
    return found


def _bad(detail: str) -> InputError:
    return InputError(f"Prefer {detail}", errors=[FieldError("Prefer", detail)])


def applied(preferences: Mapping[str, str]) -> tuple[bytes, bytes]:
    """The header that says which were followed."""
    return b"preference-applied", ", ".join(f"{name}={value}" for name, value in preferences.items()).encode()


def preferring(route: Route) -> Route:
    """The route of a write that answers its record: `Prefer: return=minimal` leaves the record out."""
    parameter = Parameter(
        name="Prefer",
        where="header",
        description="return=minimal: the answer has no body. return=representation: it has.",
    )
    return replace(
        route,
        handler=_handler(route.handler),
        parameters=(*route.parameters, parameter),
        preferences={**route.preferences, **RETURN},
    )


def _handler(following: Handler) -> Handler:
    def handle(request: Request) -> Awaitable[Response]:
        raw = request.headers.get(b"prefer")
        return following(request) if raw is None else preferred(request, raw)

    async def preferred(request: Request, raw: bytes) -> Response:
        wanted = read(raw, RETURN)
        response = await following(request)
        if response.status < 300 and wanted:
            response.headers.append(applied(wanted))
            if wanted.get("return") == "minimal":
                response.body, response.content_type = b"", None
                response.status = 204 if response.status == 200 else response.status
        return response

    return handle
