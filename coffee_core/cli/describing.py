"""`coffee openapi`, `asyncapi` and `routes`: what the installed modules offer, without starting anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import orjson
import typer
from pydantic import SecretStr

from coffee_core.cli.composition import Composition, compose, find_modules
from coffee_core.cli.serving import application
from coffee_core.domain.errors import CoffeeError
from coffee_core.domain.plan import Plan
from coffee_core.http.entitlements import ME
from coffee_core.http.openapi.document import document
from coffee_core.http.router import Mount
from coffee_core.messaging.asyncapi import Speaker
from coffee_core.messaging.asyncapi import document as describe_messages
from coffee_core.persistence.settings import DatabaseSettings

Names = Annotated[list[str] | None, typer.Option("--module", help="Describe this module alone; may be repeated.")]


def openapi(
    module: Names = None,
    plan: Annotated[str | None, typer.Option(help="Only what this plan may use: FREE, SAAS or PAID.")] = None,
    output: Annotated[Path | None, typer.Option(help="A file to write to.")] = None,
) -> None:
    """Print the API description (OpenAPI 3.1)."""
    if plan is not None and plan not in Plan.__members__:
        raise CoffeeError(f"there is no plan {plan}; there are: {', '.join(Plan.__members__)}")
    described = document(_mounts(module), plan=None if plan is None else Plan[plan])
    _write(described, output)


def asyncapi(
    module: Names = None,
    output: Annotated[Path | None, typer.Option(help="A file to write to.")] = None,
) -> None:
    """Print the description of messages (AsyncAPI 3.0): what modules announce, and what they listen to."""
    composition = _composed(module)
    speakers = [
        Speaker(module=one.name, events=mounted.events, listeners=mounted.listeners)
        for one, mounted in zip(composition.modules, composition.mounted, strict=True)
    ]
    _write(describe_messages(speakers), output)


def routes(module: Names = None) -> None:
    """Print every route: method, path, who may call it, its name."""
    rows = [
        (mount.route.method, mount.path, _access(mount), mount.route.name)
        for mount in sorted(_mounts(module), key=lambda mount: (mount.path, mount.route.method))
    ]
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        typer.echo("  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]]))


def _write(described: Mapping[str, object], output: Path | None) -> None:
    text = orjson.dumps(described, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def _composed(names: list[str] | None) -> Composition:
    """On a database that is never opened."""
    return compose(find_modules(names or ()), database=DatabaseSettings(url=SecretStr("postgresql:///")))


def _mounts(names: list[str] | None) -> list[Mount]:
    mounts = application(_composed(names)).router.mounts
    return [mount for mount in mounts if mount.service and not (names and mount.service == ME)]


def _access(mount: Mount) -> str:
    if mount.public:
        return "public"
    return f"plan {mount.plan.name}" if mount.plan > Plan.FREE else "session"
