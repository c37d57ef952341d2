"""Modules as an application in process, on a store of the tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
from pydantic import SecretStr

from coffee_core.domain.event import EventSink
from coffee_core.http.application import Application
from coffee_core.http.settings import HttpSettings
from coffee_core.messaging.tables import FRAMEWORK
from coffee_core.observability.settings import ObservabilitySettings
from coffee_core.persistence.idempotency import PostgresIdempotency
from coffee_core.persistence.migrations import runner
from coffee_core.persistence.migrations.runner import History
from coffee_core.rest.container import Container, Listener, Module, Store
from coffee_core.rest.idempotency import Idempotency
from coffee_core.rest.metered import finished
from coffee_core.rest.route import Route
from coffee_core.rest.settings import RestSettings
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.testing.api_client import ApiClient

SETTINGS = HttpSettings(access_log="off", identity_signing_key=None, identity_signing_key_previous=None)
"""Whatever the environment says: callers are who the test says they are, and nothing is written to the terminal."""

Wiring = Callable[[Container], None]


async def migrate(database_url: str, modules: Sequence[Module]) -> None:
    """Bring the tables of the framework and of `modules` to their newest version."""
    histories = [FRAMEWORK, *(History(m.name, m.migrations) for m in modules if m.migrations is not None)]
    await runner.upgrade(database_url, histories, lambda _: None)


def _repeatable(store: Store) -> Callable[[Route], Route]:
    """What makes routes know Idempotency-Key; answers are kept in PostgreSQL alone, elsewhere the header is ignored."""
    if isinstance(store, PostgresStore):
        return Idempotency(PostgresIdempotency(store.pool)).route
    return lambda route: route


@asynccontextmanager
async def running(
    modules: Sequence[Module],
    store: Store,
    *,
    events: EventSink,
    analytics: Store | None = None,
    wiring: Wiring | None = None,
    settings: HttpSettings = SETTINGS,
) -> AsyncIterator[ApiClient]:
    """A caller without a session of the modules' application. The store is open already, its tables are there.

    `wiring` meets the needs of the modules (`container.meet`) before they are mounted.
    """
    container = Container(
        store=store, events=events, analytics=analytics, rest=RestSettings(cursor_key=SecretStr("a key of the tests"))
    )
    if wiring is not None:
        wiring(container)
    services: dict[str, list[Route]] = {}
    listeners: list[Listener] = []
    async with AsyncExitStack() as stack:
        stack.push_async_callback(container.close)
        for module in modules:
            mounted = module.mount(container)
            services.setdefault(module.service, []).extend(finished(mounted.decided(), container, _repeatable(store)))
            listeners.extend(mounted.listeners)
            if mounted.close is not None:
                stack.push_async_callback(mounted.close)
        application = Application(services, settings=settings, observability=ObservabilitySettings())
        await application.start()
        stack.push_async_callback(application.stop)
        transport = httpx2.ASGITransport(application.asgi())
        http = await stack.enter_async_context(httpx2.AsyncClient(transport=transport, base_url="http://modules.test"))
        yield ApiClient(http, asyncio.get_running_loop(), listeners=listeners)
