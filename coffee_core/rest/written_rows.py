"""Rows that their store writes as CSV itself, where it can and the Dao has no say of its own in what is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from coffee_core.domain.ids import EntityT, IdT
from coffee_core.domain.search import SearchQuery
from coffee_core.rest.dao import Dao
from coffee_core.rest.dao_provider import WritesCsv
from coffee_core.rest.rows import Projection


class WrittenRows(NamedTuple):
    """Everything that matches a query, as `WritesCsv` describes it."""

    blocks: AsyncIterator[bytes]
    columns: Sequence[str]
    """What each line holds."""
    types: Mapping[str, type]
    """The Python type of each column, as it is stored."""


def csv_of(dao: Dao[EntityT, IdT], query: SearchQuery, projection: Projection) -> WrittenRows | None:
    """What `Dao.stream` finds, by the same statement, or None: then that is to be asked."""
    provider = dao.provider
    if type(dao).stream is not Dao.stream or not isinstance(provider, WritesCsv):
        return None
    plan, values = dao.everything(query, projection)
    if not provider.writes_csv(plan):
        return None
    return WrittenRows(provider.csv(plan, values), projection.columns, provider.column_types)
