"""The way to ClickHouse: one HTTP client a process, bounded, with every failure in the words of the business."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from coffee_core.domain.context import CURRENT
from coffee_core.domain.errors import CoffeeError, DeadlineError, InputError, UnavailableError
from coffee_core.stores.clickhouse.settings import ClickHouseSettings

if TYPE_CHECKING:
    from clickhouse_connect.driver.asyncclient import AsyncClient

log = logging.getLogger(__name__)

NOT_CONFIGURED = "no ClickHouse is configured: set COFFEE_CLICKHOUSE_URL"

ALWAYS: Mapping[str, object] = {
    "date_time_input_format": "basic",
    "cancel_http_readonly_queries_on_client_close": 1,
}


def _failures() -> tuple[type[Exception], ...]:
    """What the driver raises. The driver is imported where it is used: processes without ClickHouse start sooner."""
    import aiohttp
    from clickhouse_connect.driver.exceptions import ClickHouseError

    return (ClickHouseError, aiohttp.ClientError, OSError, TimeoutError)


def _busy(_: int) -> CoffeeError:
    return UnavailableError("ClickHouse has no room at this moment", retry_after=2)


BY_CODE: Mapping[int, Callable[[int], CoffeeError]] = {
    159: lambda _: DeadlineError("ClickHouse stopped the statement: it ran too long"),
    160: lambda _: DeadlineError("ClickHouse refused the statement: it would run too long"),
    396: lambda _: InputError("the answer would have too many rows: ask for a smaller page"),
    202: _busy,
    241: _busy,
    252: _busy,
    209: lambda _: UnavailableError("ClickHouse does not answer"),
    210: lambda _: UnavailableError("ClickHouse does not answer"),
    242: lambda _: UnavailableError("the ClickHouse table takes no writes at this moment"),
    516: lambda _: UnavailableError("ClickHouse does not know this platform's user or password"),
}
"""ClickHouse's error codes (src/Common/ErrorCodes.cpp)."""


def translate(error: BaseException) -> Exception:
    """The domain error for a driver's; an error of ours in the SQL itself comes back as it is."""
    code = getattr(error, "code", None)
    if isinstance(code, int) and code in BY_CODE:
        return BY_CODE[code](code)
    import aiohttp
    from clickhouse_connect.driver.exceptions import OperationalError

    if isinstance(error, OperationalError | aiohttp.ClientError | OSError | TimeoutError):
        return UnavailableError("ClickHouse does not answer")
    return cast("Exception", error)


class Connection:
    """Made without a connection; the first statement opens it, so that a process starts while ClickHouse is away."""

    def __init__(self, settings: ClickHouseSettings) -> None:
        self.settings = settings
        self._url = settings.url.get_secret_value()
        self._client: AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._turns = asyncio.Semaphore(settings.connections_max)
        self._waiting = 0

    async def client(self) -> AsyncClient:
        """The driver's client."""
        if self._client is not None:
            return self._client
        if not self._url:
            raise UnavailableError(NOT_CONFIGURED, retry_after=60)
        async with self._opening:
            if self._client is None:
                self._client = await self._connect()
            return self._client

    async def _connect(self) -> AsyncClient:
        driver = await asyncio.to_thread(import_module, "clickhouse_connect")
        try:
            client: AsyncClient = await driver.get_async_client(
                dsn=self._url,
                connect_timeout=self.settings.connect_seconds,
                send_receive_timeout=self.settings.stream_seconds,
                connector_limit=self.settings.connections_max,
                connector_limit_per_host=self.settings.connections_max,
                autogenerate_session_id=False,
                form_encode_query_params=True,
                tz_mode="aware",
                query_retries=0,
            )
        except _failures() as error:
            log.warning("ClickHouse gives no connection: %s", type(error).__name__)
            raise translate(error) from error
        return client

    async def close(self) -> None:
        """Close it."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[AsyncClient]:
        """The client, when it is one's turn; failures inside come out as domain errors."""
        if self._turns.locked() and self._waiting >= self.settings.waiters_max:
            raise UnavailableError("too many requests wait for ClickHouse")
        self._waiting += 1
        try:
            async with asyncio.timeout(self.settings.wait_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise UnavailableError("ClickHouse had no room in time") from None
        finally:
            self._waiting -= 1
        try:
            yield await self.client()
        except _failures() as error:
            raise translate(error) from error
        finally:
            self._turns.release()

    async def query(self, sql: str, parameters: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """The rows of a SELECT."""
        limits = {"max_execution_time": self._seconds(), "max_result_rows": self.settings.rows_max}
        async with self.turn() as client:
            found = await client.query(sql, parameters=dict(parameters), settings={**ALWAYS, **limits})
            return found.result_rows

    async def stream(self, sql: str, parameters: Mapping[str, object]) -> AsyncIterator[Sequence[Sequence[Any]]]:
        """The rows of a SELECT, `stream_batch` at a time."""
        size = self.settings.stream_batch
        limits = {"max_execution_time": self.settings.stream_seconds, "max_block_size": size}
        async with self.turn() as client:
            blocks = await client.query_row_block_stream(
                sql, parameters=dict(parameters), settings={**ALWAYS, **limits}
            )
            async with blocks:
                async for rows in blocks:
                    block = cast("Sequence[Sequence[Any]]", rows)
                    for start in range(0, len(block), size):
                        yield block[start : start + size]

    async def insert(
        self, table: str, columns: Sequence[str], types: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> None:
        """Store rows: all of one block, or none."""
        async with self.turn() as client:
            await client.insert(
                table,
                rows,
                column_names=list(columns),
                column_type_names=list(types),
                settings={"max_execution_time": self._seconds()},
            )

    async def command(self, sql: str, parameters: Mapping[str, object] | None = None) -> Any:
        """Run a statement that answers no rows. Any: whatever one value it answers instead."""
        limits = {"max_execution_time": self.settings.stream_seconds}
        async with self.turn() as client:
            return await client.command(sql, parameters=dict(parameters or {}), settings=limits)

    def _seconds(self) -> float:
        """What is left of the request's time, at most what a statement may take."""
        context = CURRENT.get(None)
        if context is None or context.deadline == float("inf"):
            return self.settings.query_seconds
        left = context.deadline - asyncio.get_running_loop().time()
        if left <= 0:
            raise DeadlineError("the request's time was over before ClickHouse was asked")
        return round(min(left, self.settings.query_seconds), 3)
