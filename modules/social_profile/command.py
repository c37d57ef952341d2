"""`coffee import youtube|instagram FILE`: a file of creators into the database, as an operator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from coffee_core.cli.settings import UpSettings
from coffee_core.domain.errors import CoffeeError, InputError, UnavailableError
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.container import Container
from coffee_core.rest.settings import RestSettings
from coffee_core.rest.transfer.decode import known_encoding
from coffee_core.rest.transfer.importer import Format, ImportOptions
from coffee_core.rest.transfer.mapping import ImportMapping, find_mapping
from coffee_core.rest.transfer.report import ImportReport
from coffee_core.stores.postgres.store import PostgresStore
from modules.social_profile.demo import operator
from modules.social_profile.quiet import NoEvents
from modules.social_profile.resources import INSTAGRAM, YOUTUBE

CHUNK_BYTES = 65_536
FIELD_NAMES: Final = "none"
MISSING_TABLES = ("42P01", "3F000", "42703")
"""SQLSTATE: no such table, no such schema, no such column."""


class Kind(StrEnum):
    """What the file is about."""

    YOUTUBE = "youtube"
    INSTAGRAM = "instagram"


DEFAULT_MAPPINGS: Final = {Kind.YOUTUBE: "global-youtube-statistics", Kind.INSTAGRAM: "instagram-top"}


def import_(
    kind: Annotated[Kind, typer.Argument(help="What the file is about.")],
    file: Annotated[Path, typer.Argument(help="A CSV file, or NDJSON if its name ends in .ndjson or .jsonl.")],
    encoding: Annotated[str, typer.Option(help="The file's encoding; it is never guessed.")] = "utf-8",
    mapping: Annotated[
        str | None,
        typer.Option(
            help=f"The layout of its columns: by default {DEFAULT_MAPPINGS[Kind.YOUTUBE]} or "
            f"{DEFAULT_MAPPINGS[Kind.INSTAGRAM]}; `{FIELD_NAMES}` if the columns are our field names."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do everything, then roll back.")
    ] = False,  # an option of a command line
) -> None:
    """Import creators from a file. Every record is stored or reported with its line and reason.

    Ends with status 0 if records were refused but others accepted, and with 1 if the file as a whole was refused or
    none of its records was accepted.
    """
    known_encoding(encoding)
    options = ImportOptions(
        format=_format(file), encoding=encoding, mapping=_mapping(kind, file, mapping), dry_run=dry_run
    )
    report = asyncio.run(_import(kind, file, options))
    _print(Console(soft_wrap=True, highlight=False), file, report)
    if report.rows and report.refused == report.rows:
        raise typer.Exit(1)


def _format(file: Path) -> Format:
    return "ndjson" if file.suffix.lower() in (".ndjson", ".jsonl") else "csv"


def _mapping(kind: Kind, file: Path, name: str | None) -> ImportMapping | None:
    if name == FIELD_NAMES or (name is None and _format(file) == "ndjson"):
        return None
    known = YOUTUBE.mappings if kind is Kind.YOUTUBE else INSTAGRAM.mappings
    return find_mapping(known, name or DEFAULT_MAPPINGS[kind])


async def _import(kind: Kind, file: Path, options: ImportOptions) -> ImportReport:
    store = PostgresStore(_database())
    container = Container(store=store, events=NoEvents(), rest=RestSettings())
    importer = YOUTUBE.importer(container) if kind is Kind.YOUTUBE else INSTAGRAM.importer(container)
    try:
        await store.open()
    except UnavailableError as error:
        raise CoffeeError(f"{error.detail}: is COFFEE_DATABASE_URL right, and PostgreSQL running?") from error
    try:
        with _progress() as bar:
            task = bar.add_task(file.name, total=_size(file), said="")

            def show(report: ImportReport) -> None:
                bar.update(task, said=f"{report.rows:,} records, {report.refused:,} refused")

            async with acting_as(operator()):
                return await importer.run(_chunks(file, lambda count: bar.advance(task, count)), options, show)
    except InputError as error:
        advice = ""
        if options.mapping is not None and "mapping" in error.detail:
            advice = f"\nsay --mapping {FIELD_NAMES} if its columns are our field names"
        said = error.detail.replace("encoding=", "--encoding ")
        raise CoffeeError(f"{file} was refused, and nothing of it stored: {said}{advice}") from error
    except Exception as error:
        if getattr(error, "sqlstate", None) in MISSING_TABLES:
            raise CoffeeError("the tables of social_profile are not there: run `coffee migrate` first") from error
        raise
    finally:
        await store.close()


def _database() -> DatabaseSettings:
    """The database that is named, or that of the `coffee up` that runs in this folder."""
    settings = DatabaseSettings()
    if settings.url.get_secret_value():
        return settings
    sockets = UpSettings().folder / "run" / "postgres"
    if not sockets.is_dir():
        raise CoffeeError("COFFEE_DATABASE_URL is not set, and no `coffee up` runs in this folder: do one of the two")
    return settings.model_copy(update={"url": SecretStr(f"postgresql://postgres@/postgres?host={sockets.resolve()}")})


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise CoffeeError(f"{file} cannot be read: {error.strerror}") from error


async def _chunks(file: Path, advance: Callable[[int], None]) -> AsyncIterator[bytes]:
    try:
        with file.open("rb") as opened:
            while chunk := opened.read(CHUNK_BYTES):
                yield chunk
                advance(len(chunk))
    except OSError as error:
        raise CoffeeError(f"{file} cannot be read: {error.strerror}") from error


def _progress() -> Progress:
    """On a screen alone; a log gets the counts at the end."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[said]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _print(console: Console, file: Path, report: ImportReport) -> None:
    """The counts, then the refused records, each with its line."""
    answer = report.answer()
    counts = f"{answer.created:,} created, {answer.updated:,} updated, {answer.unchanged:,} unchanged"
    console.print(f"[bold]{escape(file.name)}[/]: {answer.rows:,} records: {counts}, {answer.refused:,} refused")
    if answer.ignored_columns:
        console.print(f"not read: {escape(', '.join(answer.ignored_columns))}")
    for refusal in answer.refusals:
        console.print(f"  line {refusal.line}: {escape(refusal.reason)}")
    if answer.refused > len(answer.refusals):
        console.print(f"  and {answer.refused - len(answer.refusals):,} more")
    if answer.dry_run:
        console.print("a dry run: nothing was stored")
