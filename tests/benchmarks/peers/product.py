"""The product as shipped: a module written like any other, behind the whole pipeline, on the project's own server.

`python -m tests.benchmarks.peers.product PORT`; with uvicorn: `uvicorn tests.benchmarks.peers.product:app`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, ClassVar, NamedTuple
from uuid import UUID

import uvloop
from pydantic import Field
from sqlalchemy import BigInteger, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from coffee_core.domain.entity import Entity, Identified, Tenanted, Timed, Versioned
from coffee_core.domain.entry import Entry, ReadOnly
from coffee_core.domain.event import Event
from coffee_core.domain.plan import Gated, Plan
from coffee_core.http.application import Application
from coffee_core.messaging.brokers.memory import MemoryBroker
from coffee_core.messaging.events import EventBus
from coffee_core.messaging.settings import MessagingSettings
from coffee_core.persistence.idempotency import PostgresIdempotency
from coffee_core.persistence.settings import DatabaseSettings
from coffee_core.rest.announcing import Change
from coffee_core.rest.container import Container
from coffee_core.rest.idempotency import Idempotency
from coffee_core.rest.manager import Manager
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.wire.serve import serve


class BenchEntity(Entity):
    __abstract__ = True
    metadata = MetaData(schema="bench")


class ItemEntity(Identified, Tenanted, Versioned, Timed, BenchEntity):
    __tablename__ = "item"

    owner: Mapped[UUID]
    name: Mapped[str] = mapped_column(Text)
    platform: Mapped[str] = mapped_column(Text)
    followers: Mapped[int] = mapped_column(BigInteger)
    engagement: Mapped[float]
    tags: Mapped[list[str]] = mapped_column(JSONB)


class ItemEntry(Entry):
    id: Annotated[int | None, ReadOnly()] = None
    partner_id: Annotated[int | None, ReadOnly()] = None
    owner: UUID
    name: Annotated[str, Field(max_length=200)]
    platform: Annotated[str, Field(max_length=40)]
    followers: Annotated[int, Field(ge=0)]
    engagement: Annotated[float | None, Gated(Plan.SAAS)] = None
    tags: list[str] = []
    created_at: Annotated[datetime | None, ReadOnly()] = None
    updated_at: Annotated[datetime | None, ReadOnly()] = None


class DerivingManager(Manager[ItemEntry, ItemEntity, int]):
    """What an override costs."""

    def to_entry(self, entity: ItemEntity) -> ItemEntry:
        entry = super().to_entry(entity)
        entry.name = entity.name.strip()
        return entry


class ItemChanged(Event):
    """What a listener is told of an item."""

    topic: ClassVar[str] = "bench.dx___items_q"
    type: ClassVar[str] = "item_changed"

    id: int | None
    change: str
    name: str
    followers: int

    def key(self) -> str:
        return str(self.id)


class TellingManager(Manager[ItemEntry, ItemEntity, int]):
    """What an event costs that goes out after each write."""

    def announces(self, change: Change, entry: ItemEntry) -> Event | None:
        return ItemChanged(id=entry.id, change=change, name=entry.name, followers=entry.followers)


KINDS: Mapping[str, type[Manager[ItemEntry, ItemEntity, int]]] = {
    "plain": Manager,
    "deriving": DerivingManager,
    "telling": TellingManager,
}


class Built(NamedTuple):
    """The application, and the store and the event bus that it opens."""

    application: Application
    store: PostgresStore
    events: EventBus


def build(url: str, kind: str = "plain", messaging: MessagingSettings | None = None) -> Built:
    """As `coffee modules` puts a module together, with a Manager of `KINDS`."""
    store = PostgresStore(DatabaseSettings(url=url, pool_min=10, pool_max=10))  # type: ignore[arg-type]  # pydantic reads text into a secret
    events = EventBus(MemoryBroker(), settings=messaging)
    container = Container(store=store, events=events)
    dao = container.dao(ItemEntry, ItemEntity, ItemEntity.id)
    api = container.api(KINDS[kind](ItemEntry, dao, events=container.events), int, "item")
    repeatable = Idempotency(PostgresIdempotency(store.pool))
    routes = [repeatable.route(route) for route in api.routes()]
    start, stop = [store.open, events.start], [store.close, events.close]
    return Built(Application({"bench-service": routes}, on_start=start, on_stop=stop), store, events)


def built() -> Application:
    """As the environment says."""
    return build(os.environ["BENCH_URL"], os.environ.get("BENCH_MANAGER", "plain")).application


def app() -> object:
    """For an ASGI server: `uvicorn --factory`."""
    return built().asgi()


if __name__ == "__main__":
    made = built()
    uvloop.run(serve(made.handler, port=int(sys.argv[1]), on_start=made.start, on_stop=made.stop))
