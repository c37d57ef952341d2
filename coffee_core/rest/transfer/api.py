"""HTTP of bulk, export and import: parameters, media types, headers, the streamed answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic, cast

import orjson

from coffee_core.domain.context import current
from coffee_core.domain.errors import FieldError, InputError, MediaTypeError
from coffee_core.domain.ids import EntityT, EntryT, IdT
from coffee_core.persistence.unit_of_work import current_work
from coffee_core.rest import parameters
from coffee_core.rest.body import SEARCH_MEMBERS, read_json, read_object
from coffee_core.rest.transfer.arrow import require_pyarrow
from coffee_core.rest.transfer.bulk import Bulk
from coffee_core.rest.transfer.decode import known_encoding
from coffee_core.rest.transfer.export import Exporter, ExportFormat, primed
from coffee_core.rest.transfer.importer import Format, Importer, ImportOptions
from coffee_core.rest.transfer.mapping import find_mapping
from coffee_core.rest.transfer.places import Places
from coffee_core.rest.transfer.results import encode
from coffee_core.rest.transfer.upsert import Upserter
from coffee_core.wire.message import Request, Response

if TYPE_CHECKING:  # the Api holds this; only its type is needed here
    from coffee_core.rest.api import Api

MEDIA: dict[ExportFormat, bytes] = {
    "csv": b"text/csv; charset=utf-8; header=present",
    "ndjson": b"application/x-ndjson",
    "parquet": b"application/vnd.apache.parquet",
}
READ: dict[bytes, Format] = {
    b"text/csv": "csv",
    b"application/csv": "csv",
    b"application/x-ndjson": "ndjson",
    b"application/ndjson": "ndjson",
    b"application/jsonl": "ndjson",
}
TIMEOUT = b"x-request-timeout"
FORMATS: tuple[Format, ...] = ("csv", "ndjson")
EXPORTED: tuple[ExportFormat, ...] = (*FORMATS, "parquet")
EXPORT_PARAMETERS = ("format", "sortBy", "sortDir", "fields")
IMPORT_PARAMETERS = ("format", "encoding", "mapping")


class TransferApi(Generic[EntryT, EntityT, IdT]):
    """The three operations over many records, for one resource."""

    def __init__(self, api: Api[EntryT, EntityT, IdT], key: Sequence[str]) -> None:
        self.api = api
        self.settings = api.settings
        upserter = Upserter(api.manager, key) if key else None
        self._bulk = Bulk(
            api.manager, upserter, api.parse_id, api.settings, version_required=api.options.version_required
        )
        self._exporter = Exporter(api.manager, api.settings.export_group_rows)
        self._importer = Importer(api.manager, tuple(key), api.settings) if key else None
        self._places = Places(api.settings)

    async def bulk(self, request: Request) -> Response:
        """POST /bulk."""
        self.api.may_write()
        atomic = parameters.flag(parameters.parse_write(request.query, ("atomic",)), "atomic", default=True)
        raw = await read_json(request, self.settings.bulk_bytes_max)
        results = await self._bulk.run(raw, atomic=atomic)
        refused = [result.status for result in results].count("refused")
        message = f"{refused} of {len(results)} were refused" if refused else ""
        return _answer(encode(results), len(results), message)

    async def export(self, request: Request) -> Response:
        """GET or POST /export."""
        body: dict[str, object] = {}
        if request.method == "POST":
            body = await read_object(request, self.settings.body_bytes_max, SEARCH_MEMBERS)
        given = parameters.parse(request.query, (*EXPORT_PARAMETERS, *self.api.includes))
        format = cast("ExportFormat", parameters.choice(given, "format", "csv", EXPORTED))
        if format == "parquet":
            await asyncio.to_thread(require_pyarrow)  # its first import takes a second
        query, _ = self.api.searches.read(request.query, body, EXPORT_PARAMETERS)
        context = current()
        blocks = self._exporter.blocks(query, format, context)
        stream = await primed(blocks, 2 if format == "csv" else 1)
        name = f"{self.api.resource}-{datetime.now(UTC):%Y-%m-%d}.{format}"
        headers = [
            (b"content-disposition", f'attachment; filename="{name}"'.encode()),
            (b"cache-control", b"no-store"),
        ]
        return Response(200, content_type=MEDIA[format], headers=headers, stream=stream)

    async def import_(self, request: Request) -> Response:
        """POST /import."""
        self.api.may_write()
        assert self._importer is not None  # without a natural key there is no such route
        options = self._import_options(request)
        context = current()
        with self._places.one(context):
            if TIMEOUT not in request.headers:
                longest = asyncio.get_running_loop().time() + self.settings.import_seconds
                context.deadline = max(context.deadline, longest)
            report = await self._importer.run(request.body.chunks(self.settings.import_bytes_max), options)
        answer = report.answer()
        message = f"{answer.refused} of {answer.rows} were refused" if answer.refused else ""
        return _answer(orjson.dumps([answer.model_dump(by_alias=True, mode="json")]), 1, message)

    def _import_options(self, request: Request) -> ImportOptions:
        given = parameters.parse_write(request.query, IMPORT_PARAMETERS)
        media, _, rest = request.headers.get(b"content-type", b"").partition(b";")
        format = READ.get(media.strip().lower())
        if "format" in given:
            format = cast("Format", parameters.choice(given, "format", "csv", FORMATS))
        elif format is None:
            if media.strip():
                raise MediaTypeError("send text/csv or application/x-ndjson, or say format=csv or format=ndjson")
            format = "csv"
        mapping = given.get("mapping")
        return ImportOptions(
            format=format,
            encoding=_encoding(given.get("encoding"), rest),
            mapping=None if mapping is None else find_mapping(self.api.options.mappings, mapping),
            dry_run=current_work().rehearsing,
        )


def _encoding(declared: str | None, media_parameters: bytes) -> str:
    """`encoding=`, or the media type's `charset`; two that do not agree are refused, none is UTF-8."""
    charset: str | None = None
    for parameter in media_parameters.split(b";"):
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"charset":
            charset = value.strip().strip(b'"').decode("latin-1")
    if declared is not None and charset is not None and known_encoding(declared) != known_encoding(charset):
        detail = f"says {declared[:40]!r}, and the content type says {charset[:40]!r}"
        raise InputError(f"parameter 'encoding' {detail}", errors=[FieldError("?encoding", detail)])
    return declared or charset or "utf-8"


def _answer(data: bytes, count: int, message: str) -> Response:
    said = orjson.dumps({"status": "SUCCESS", "message": message})
    return Response(200, b'{"data":%b,"count":%d,"totalCount":%d,"status":%b}' % (data, count, count, said))
