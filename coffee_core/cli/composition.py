"""The one place where modules, stores and broker come together: for serving, for working, for one command."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from importlib.metadata import entry_points
from typing import NamedTuple

from coffee_core.domain.errors import CoffeeError
from coffee_core.messaging.broker import Broker
from coffee_core.messaging.brokers.by_url import make_broker
from coffee_core.messaging.brokers.memory import MemoryBroker
from coffee_core.messaging.errors import BrokerUnavailableError
from coffee_core.messaging.events import EventBus
from coffee_core.messaging.jobs import Job
from coffee_core.messaging.outbox import Outbox
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.messaging.stats import MessagingStats
from coffee_core.messaging.worker import Worker
from coffee_core.observability.metrics import Metrics
from coffee_core.persistence.idempotency import PostgresIdempotency
from coffee_core.persistence.pool_stats import PoolStats
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.rest.container import Container, Module, Mounted
from coffee_core.rest.idempotency import Idempotency, IdempotencySettings
from coffee_core.rest.metered import finished
from coffee_core.rest.settings import RestSettings
from coffee_core.stores.clickhouse.settings import ClickHouseSettings
from coffee_core.stores.clickhouse.store import ClickHouseStore
from coffee_core.stores.postgres.store import PostgresStore

log = logging.getLogger(__name__)

MODULES = "coffee.modules"
"""Each names a `Module`."""

WIRING = "coffee.wiring"
"""Each names a function of the Container that meets needs (`container.meet`), before any module is mounted."""

DEMO = "coffee.demo"
"""Each names an async function of the Container that makes demo data; a second time nothing."""

FORGET_EVERY_SECONDS = 3600.0
"""Between two looks for answers that have been kept long enough."""


def find_modules(only: Collection[str] = (), leave_out: Collection[str] = ()) -> list[Module]:
    """The installed modules by name, or some of them; an unknown name is an error that lists the known ones."""
    found: dict[str, Module] = {}
    for entry in sorted(entry_points(group=MODULES), key=lambda entry: entry.name):
        module: Module = entry.load()
        found[module.name] = module
    unknown = sorted({*only, *leave_out} - found.keys())
    if unknown:
        raise CoffeeError(f"there is no module {', '.join(unknown)}; there are {', '.join(found) or 'none'}")
    return [module for name, module in found.items() if (not only or name in only) and name not in leave_out]


class Composition(NamedTuple):
    """What was put together. Nothing is open before `opened()`."""

    store: PostgresStore
    analytics: ClickHouseStore
    """Connects when it is first asked; without a URL what needs it is answered 503."""
    broker: Broker
    events: EventBus
    stats: MessagingStats
    messaging: MessagingSettings
    container: Container
    modules: Sequence[Module]
    mounted: Sequence[Mounted]
    """In the order of `modules`."""

    @asynccontextmanager
    async def opened(self, *, listening: bool = True) -> AsyncIterator[Composition]:
        """Open database, broker and events; close them in reverse, and before them what modules have opened.

        A broker that does not answer is no reason not to start: it is connected to when it is there. Where there is
        none, messages stay in this process, so its listeners run here too, if `listening`.
        """
        async with AsyncExitStack() as stack:
            await self.store.open()
            stack.push_async_callback(self.store.close)
            stack.push_async_callback(self.analytics.close)
            try:
                await self.broker.open()
            except BrokerUnavailableError as error:
                log.warning("events wait in memory and in the outbox: %s", error.detail)
            stack.push_async_callback(self.broker.close)
            if listening and isinstance(self.broker, MemoryBroker):
                await stack.enter_async_context(_beside(self.worker(with_jobs=False)))
            await self.events.start()
            stack.push_async_callback(self.events.close)
            stack.push_async_callback(self.container.close)
            for mounted in self.mounted:
                if mounted.close is not None:
                    stack.push_async_callback(mounted.close)
            yield self

    def worker(self, *, with_jobs: bool = True) -> Worker:
        """Relay, listeners and jobs of the modules; to be run while this is opened."""
        return Worker(
            self.store.pool,
            self.broker,
            listeners=[listener for mounted in self.mounted for listener in mounted.listeners],
            jobs=[self._forgetting(), *(job for mounted in self.mounted for job in mounted.jobs)] if with_jobs else (),
            settings=self.messaging,
            stats=self.stats,
        )

    def _forgetting(self) -> Job:
        """Answers to repeatable requests are kept for a time only."""
        hours = IdempotencySettings().hours

        async def forget() -> None:
            await PostgresIdempotency(self.store.pool).forget(hours)

        return Job(name="coffee_idempotency_forget", every_seconds=FORGET_EVERY_SECONDS, run=forget)


@asynccontextmanager
async def _beside(worker: Worker) -> AsyncIterator[None]:
    """Run `worker` during the block."""
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await asyncio.gather(task, return_exceptions=True)


def compose(modules: Sequence[Module], *, database: DatabaseSettings | None = None) -> Composition:
    """Read the settings and mount the modules. A setting that is missing is an error that names it."""
    database = database or DatabaseSettings()
    if not database.url.get_secret_value():
        raise CoffeeError("COFFEE_DATABASE_URL is not set: name a PostgreSQL, or run `coffee up`")
    messaging, stats = MessagingSettings(), MessagingStats()
    store, broker = PostgresStore(database), make_broker(messaging)
    events = EventBus(broker, outbox=Outbox(store.pool), settings=messaging, stats=stats)
    analytics = ClickHouseStore(ClickHouseSettings())
    metrics = Metrics(process=True)
    metrics.include(stats)
    metrics.include(PoolStats(store.pools))
    container = Container(store=store, analytics=analytics, events=events, rest=RestSettings(), metrics=metrics)
    for entry in sorted(entry_points(group=WIRING), key=lambda entry: entry.name):
        meet: Callable[[Container], None] = entry.load()
        meet(container)
    repeatable = Idempotency(PostgresIdempotency(store.pool))
    mounted = [_mount(module, container, repeatable) for module in modules]
    return Composition(store, analytics, broker, events, stats, messaging, container, modules, mounted)


def _mount(module: Module, container: Container, repeatable: Idempotency) -> Mounted:
    try:
        mounted = module.mount(container)
        return replace(mounted, routes=finished(mounted.decided(), container, repeatable.route))
    except LookupError as error:
        raise CoffeeError(f"the module {module.name} cannot be mounted: {error}") from error


def demo() -> None:
    """Make the demo partners and sample data; what is there already stays as it is."""
    asyncio.run(_demo())


async def _demo() -> None:
    async with compose(find_modules()).opened() as platform:
        for entry in sorted(entry_points(group=DEMO), key=lambda entry: entry.name):
            await entry.load()(platform.container)
            print(f"demo data of {entry.name}: there")
