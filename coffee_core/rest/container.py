"""Wiring: what a module is, what it is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, cast

from pydantic_settings import BaseSettings
from sqlalchemy.orm import InstrumentedAttribute

from coffee_core.cache.caches import Caches
from coffee_core.cache.settings import CacheSettings
from coffee_core.domain.entity import Entity
from coffee_core.domain.entry import Entry
from coffee_core.domain.event import Event, EventSink
from coffee_core.domain.ids import EntityT, EntryT, IdT
from coffee_core.domain.plan import Plan
from coffee_core.messaging.jobs import Job
from coffee_core.messaging.listeners import Listener
from coffee_core.observability.metrics import Metrics
from coffee_core.rest.api import Api, ApiOptions
from coffee_core.rest.dao import Dao
from coffee_core.rest.dao_provider import DaoProvider
from coffee_core.rest.fields import gates_of, searchable_of
from coffee_core.rest.manager import Manager
from coffee_core.rest.route import Route
from coffee_core.rest.service import Service
from coffee_core.rest.settings import RestSettings

__all__ = ["Check", "Container", "Job", "Listener", "Module", "Mounted", "Store"]

T = TypeVar("T")
SettingsT = TypeVar("SettingsT", bound=BaseSettings)
Check = Callable[[], Awaitable[str | None]]
"""A readiness check: None when all is well, else the sentence that says what is not."""


class Store(Protocol):
    """A store as the container knows it: makes the DaoProvider of one Entity."""

    def provider(self, entity: type[EntityT], id: InstrumentedAttribute[IdT]) -> DaoProvider[EntityT, IdT]:
        """The provider for `entity`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """What a module gives: all of it is optional but the routes."""

    routes: Sequence[Route]
    plan: Plan | None = None
    """The plan of every route that does not say its own. None is FREE, but undecided: `coffee check` asks for one."""
    listeners: Sequence[Listener] = ()
    events: Sequence[type[Event]] = ()
    """What its managers announce, for the description (`coffee asyncapi`)."""
    jobs: Sequence[Job] = ()
    checks: Sequence[Check] = ()
    close: Callable[[], Awaitable[None]] | None = None
    """Closes what the module itself opened."""

    def decided(self) -> list[Route]:
        """The routes, each with its plan."""
        return [replace(r, plan=self.plan) if r.plan is None and not r.public else r for r in self.routes]


class Module(Protocol):
    """A plug-in. Found through the entry-point group `coffee.modules`, or listed in a wiring of your own."""

    @property
    def name(self) -> str:
        """The package's name, also its PostgreSQL schema: `profile_collection`."""
        ...

    @property
    def service(self) -> str:
        """The first segment of its paths: `profile-collection-service`."""
        ...

    @property
    def migrations(self) -> str | None:
        """The package that holds its migrations, or None for a module that stores nothing."""
        ...

    def mount(self, container: Container) -> Mounted:
        """Build its layers. Opens nothing."""
        ...


class Container:
    """What modules are given. Made once by the program (or by a test, with other stores)."""

    def __init__(
        self,
        *,
        store: Store,
        events: EventSink,
        analytics: Store | None = None,
        rest: RestSettings | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.store = store
        """PostgreSQL, or what stands for it in a test."""
        self._analytics = analytics
        self.events = events
        self.rest = rest or RestSettings()
        self.metrics = metrics or Metrics()
        """Counters of the business: `container.metrics.counter("collections_made_total", "Collections made.")`."""
        self.resources: list[tuple[type[Entry], type[Entity]]] = []
        """What the modules store in `store`, and as what callers see it: `coffee check` looks at these."""
        self.made_caches: Caches | None = None
        """Those of `caches`, if a module has asked for them."""
        self._met: dict[type[Any], object] = {}
        self._settings: dict[type[BaseSettings], BaseSettings] = {}

    @property
    def analytics(self) -> Store:
        """ClickHouse; a sentence where none is configured."""
        if self._analytics is None:
            raise LookupError("this module needs ClickHouse: set COFFEE_CLICKHOUSE_URL")
        return self._analytics

    def settings(self, kind: type[SettingsT]) -> SettingsT:
        """The settings class of a module, read once."""
        found = self._settings.get(kind)
        if found is None:
            found = self._settings[kind] = kind()
        return cast("SettingsT", found)

    @property
    def caches(self) -> Caches:
        """The caches of the process, which all modules share: `container.caches.cache("rates", Rate, load=read_rate)`.
        A module's names begin with its own."""
        if self.made_caches is None:
            self.made_caches = Caches(self.settings(CacheSettings))
            self.metrics.include(self.made_caches.collector())
        return self.made_caches

    async def close(self) -> None:
        """Close what the container itself has made."""
        if self.made_caches is not None:
            await self.made_caches.close()

    def configure(self, settings: BaseSettings) -> None:
        """Settings made by hand, for tests and embedding."""
        self._settings[type(settings)] = settings

    def meet(self, need: type[T], implementation: T) -> None:
        """Say who meets a need (a Protocol declared by the module that has it); once each."""
        if need in self._met:
            raise LookupError(f"{need.__name__} is met twice")
        self._met[need] = implementation

    def need(self, need: type[T]) -> T:
        """What meets a need; a sentence where nothing does."""
        found = self._met.get(need)
        if found is None:
            raise LookupError(f"nothing meets {need.__name__}: mount a module that does before the one that needs it")
        return cast("T", found)

    def find(self, need: type[T]) -> T | None:
        """What meets a need, if anything does."""
        return cast("T | None", self._met.get(need))

    def dao(
        self, entry: type[EntryT], entity: type[EntityT], id: InstrumentedAttribute[IdT], *, store: Store | None = None
    ) -> Dao[EntityT, IdT]:
        """The Dao of an Entity with the gates and the free-text fields of its Entry."""
        provider = (store or self.store).provider(entity, id)
        if store is None or store is self.store:
            self.resources.append((entry, entity))
        searchable = [name for name in searchable_of(entry) if name in entity.__table__.columns]
        return Dao(entity, id, provider, gates=gates_of(entry), searchable=searchable)

    def manager(
        self, entry: type[EntryT], entity: type[EntityT], id: InstrumentedAttribute[IdT]
    ) -> Manager[EntryT, EntityT, IdT]:
        """The plain manager: maps by field name."""
        return Manager(entry, self.dao(entry, entity, id), events=self.events)

    def api(
        self,
        manager: Manager[EntryT, EntityT, IdT],
        id_type: type[IdT],
        resource: str,
        *,
        options: ApiOptions | None = None,
    ) -> Api[EntryT, EntityT, IdT]:
        """The resource over a manager."""
        return Api(Service(manager), id_type, resource, settings=self.rest, options=options)
