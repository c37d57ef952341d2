"""What a module's author has to have decided: who may call each route, and where its tables come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from coffee_core.domain.entity import Entity
from coffee_core.domain.entry import Entry
from coffee_core.http.router import Mount
from coffee_core.persistence.migrations.runner import History, HistoryStatus
from coffee_core.rest.container import Module
from coffee_core.stores.clickhouse import migrations as clickhouse


def undecided(mounts: Iterable[Mount]) -> list[str]:
    """Routes that need a session, for which nobody has said which plan includes them."""
    return [
        f"{mount.template} ({mount.route.name}) has no plan: write plan=Plan.FREE or more on the Route, in the "
        "ApiOptions of its resource, or in the Mounted of its module"
        for mount in mounts
        if mount.service and not mount.public and mount.route.plan is None
    ]


def without_migrations(modules: Iterable[Module], resources: Sequence[tuple[type[Entry], type[Entity]]]) -> list[str]:
    """Modules that store rows and say of no package that it makes their tables."""
    found: list[str] = []
    for module in modules:
        stored = sorted({e.__table__.fullname for _, e in resources if e.__table__.schema == module.name})  # type: ignore[attr-defined]  # a mapped class has a Table
        if stored and module.migrations is None:
            found.append(
                f"{module.name} stores {', '.join(stored)} and has no migrations: name the package that makes them in "
                "`migrations`"
            )
    return found


def without_versions(statuses: Iterable[HistoryStatus], histories: Iterable[History]) -> list[str]:
    """Histories that hold no version at all, neither for PostgreSQL nor for ClickHouse."""
    named = {history.name: history for history in histories}
    return [
        f"{one.name} has no migration in {named[one.name].package}: write 0001_... that makes its tables"
        for one in statuses
        if one.newest is None and not clickhouse.versions(named[one.name])
    ]
