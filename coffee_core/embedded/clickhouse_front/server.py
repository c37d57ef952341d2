"""The HTTP interface: what clickhouse-connect sends and understands (https://clickhouse.com/docs/interfaces/http)."""

import base64
import binascii
import contextlib
import hmac
import json
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

from aiohttp import BodyPartReader, web

from coffee_core.embedded.clickhouse_front.body import Statement, decompressed, read_statement
from coffee_core.embedded.clickhouse_front.engine import Call, Engine
from coffee_core.embedded.clickhouse_front.errors import (
    AUTHENTICATION_FAILED,
    BAD_ARGUMENTS,
    NOT_IMPLEMENTED,
    QueryError,
    refused,
)
from coffee_core.embedded.clickhouse_front.statement import answers_with_rows, may_stream, output_format

USER = "coffee"

SPOOL = "spool"
"""Where the data of inserts waits, below the working folder."""

PIECE = 1 << 18

NOT_SETTINGS = frozenset(
    {"query", "database", "default_format", "user", "password", "query_id", "quota_key", "stacktrace", "buffer_size"}
    | {"session_id", "session_timeout", "session_check", "wait_end_of_query", "enable_http_compression"}
    | {"client_protocol_version", "send_progress_in_http_headers", "http_headers_progress_interval_ms"}
)
"""What the interface reads itself. Answers are never compressed: they do not leave this machine."""

DECLINED = {"role": "roles", "compress": "compressed blocks", "decompress": "compressed blocks"}
"""What would change the meaning if it were passed over, and is not here."""


class Options(NamedTuple):
    """What a request says beside its statement."""

    query: str
    call: Call
    session: str
    session_must_exist: bool
    session_seconds: float
    wait_end_of_query: bool


class Front:
    """The routes."""

    def __init__(self, engine: Engine, *, password: str, body_bytes: int) -> None:
        self._engine = engine
        self._password = password
        self._body_bytes = body_bytes
        self._timezone = "UTC"
        self._asking = 0
        self._asked = time.monotonic()

    def idle_for(self) -> float:
        """Seconds since the last request ended; 0 while one is in hand."""
        return 0.0 if self._asking else time.monotonic() - self._asked

    def application(self) -> web.Application:
        """As an aiohttp application; `/ping` and `/replicas_status` need no password, as on a server."""
        app = web.Application(client_max_size=self._body_bytes)
        app.router.add_get("/ping", self.ping)
        app.router.add_get("/replicas_status", self.ping)
        app.router.add_route("*", "/", self.query)
        return app

    async def ping(self, _: web.Request) -> web.Response:
        """Alive."""
        return web.Response(text="Ok.\n")

    async def query(self, request: web.Request) -> web.StreamResponse:
        """Run one statement; an error is ClickHouse's, in its header and body."""
        query_id = request.query.get("query_id") or str(uuid.uuid4())
        self._asking += 1
        try:
            self._authenticate(request)
            options, statement = await self._read(request, query_id)
            try:
                async with self._engine.turn():
                    return await self._run(request, options, statement)
            finally:
                if statement.spooled:
                    statement.spooled.unlink(missing_ok=True)
        except QueryError as error:
            headers = {"X-ClickHouse-Exception-Code": str(error.code), "X-ClickHouse-Query-Id": query_id}
            return web.Response(status=error.status, text=f"{error.text}\n", headers=headers)
        finally:
            self._asking -= 1
            self._asked = time.monotonic()

    def _authenticate(self, request: web.Request) -> None:
        """Basic, ClickHouse's headers, or the query's: whichever is there."""
        user, password = request.query.get("user", ""), request.query.get("password", "")
        user = request.headers.get("X-ClickHouse-User", user)
        password = request.headers.get("X-ClickHouse-Key", password)
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            with contextlib.suppress(binascii.Error, UnicodeDecodeError):
                user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        if not (user == USER and hmac.compare_digest(password.encode(), self._password.encode())):
            raise refused(AUTHENTICATION_FAILED, "the user is unknown or the password is wrong")

    async def _read(self, request: web.Request, query_id: str) -> tuple[Options, Statement]:
        values = dict(request.query)
        body: AsyncIterator[bytes] = request.content.iter_chunked(PIECE)
        if request.content_type == "multipart/form-data":
            values |= await self._form(request)
            body = _nothing()
        encoding = request.headers.get("Content-Encoding", "").lower()
        options = _options(values, request.headers, query_id)
        return options, await read_statement(options.query, decompressed(body, encoding, self._body_bytes), SPOOL)

    async def _form(self, request: web.Request) -> dict[str, str]:
        """The fields of a form: clickhouse-connect sends long queries and parameters so."""
        fields: dict[str, str] = {}
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.filename:
                raise refused(NOT_IMPLEMENTED, "external data: put it into a temporary table")
            fields[part.name or ""] = (await part.read(decode=True)).decode()
        return fields

    async def _run(self, request: web.Request, options: Options, statement: Statement) -> web.StreamResponse:
        call = options.call._replace(sql=statement.sql)
        rows = answers_with_rows(call.sql)
        headers = {"X-ClickHouse-Query-Id": call.query_id, "X-ClickHouse-Timezone": self._timezone}
        if rows:
            headers["X-ClickHouse-Format"] = output_format(call.sql, call.output_format)
        session = self._engine.handle(
            call, options.session, must_exist=options.session_must_exist, seconds=options.session_seconds
        )
        async with session as handle:
            if not options.wait_end_of_query and may_stream(call.sql, call.output_format):
                async with contextlib.aclosing(self._engine.blocks(handle, call)) as blocks:
                    return await self._stream(request, headers, blocks)
            result = await self._engine.whole(handle, call)
            read, size = str(result.rows_read()), str(result.bytes_read())
            written = {"written_rows": read, "written_bytes": size} if not rows else {}
            elapsed = str(int(result.elapsed() * 1e9))
            summary = {"read_rows": read, "read_bytes": size, "elapsed_ns": elapsed, **written}
            headers["X-ClickHouse-Summary"] = json.dumps(summary)
            response = web.StreamResponse(headers=headers)
            response.content_length = result.size()
            await response.prepare(request)
            if result.size():
                view = result.get_memview().view()  # the engine's own memory: there is no second copy
                for start in range(0, len(view), PIECE):
                    await response.write(bytes(view[start : start + PIECE]))
            await response.write_eof()
            return response

    async def _stream(
        self, request: web.Request, headers: dict[str, str], blocks: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        """Send block by block, as fast as the client reads. The first is awaited before the status is written."""
        first = await anext(blocks, b"")
        tag = secrets.token_hex(8)
        response = web.StreamResponse(headers={**headers, "X-ClickHouse-Exception-Tag": tag})
        await response.prepare(request)
        try:
            await response.write(first)
            async for block in blocks:
                for start in range(0, len(block), PIECE):
                    await response.write(block[start : start + PIECE])
        except QueryError as error:
            # The status is out: the error follows the data, marked by a tag that the data cannot know.
            text = f"{error.text}\n".encode()
            mark = tag.encode()
            await response.write(
                b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (mark, text, len(text), mark)
            )
        await response.write_eof()
        return response


def _options(values: Mapping[str, str], headers: Mapping[str, str], query_id: str) -> Options:
    for name, what in DECLINED.items():
        if values.get(name, "0") not in {"", "0"}:
            raise refused(NOT_IMPLEMENTED, f"{what} (`{name}`) are not part of the embedded ClickHouse")
    settings = {
        name: value
        for name, value in values.items()
        if name not in NOT_SETTINGS and name not in DECLINED and not name.startswith("param_")
    }
    try:
        seconds = float(values.get("session_timeout", "60"))
    except ValueError:
        raise refused(BAD_ARGUMENTS, "session_timeout is a number of seconds") from None
    call = Call(
        sql="",
        output_format=values.get("default_format") or headers.get("X-ClickHouse-Format") or "TabSeparated",
        query_id=query_id,
        database=values.get("database") or headers.get("X-ClickHouse-Database", ""),
        settings=settings,
        parameters={name.removeprefix("param_"): value for name, value in values.items() if name.startswith("param_")},
    )
    return Options(
        query=values.get("query", ""),
        call=call,
        session=values.get("session_id", ""),
        session_must_exist=values.get("session_check") == "1",
        session_seconds=min(seconds, 3600.0),
        wait_end_of_query=values.get("wait_end_of_query") == "1",
    )


async def _nothing() -> AsyncIterator[bytes]:
    empty: tuple[bytes, ...] = ()
    for chunk in empty:
        yield chunk
