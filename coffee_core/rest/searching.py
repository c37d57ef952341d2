"""A search as it is asked for: parameters, filters and cursor, read into a `SearchQuery`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final, Generic, NamedTuple, cast

from msgspec.structs import replace

from coffee_core.domain.context import current
from coffee_core.domain.errors import FieldError, InputError
from coffee_core.domain.ids import EntityT, EntryT, IdT
from coffee_core.domain.search import CountMode, Cursor, Node, SearchQuery, fields_of
from coffee_core.rest import parameters
from coffee_core.rest.cursor import CursorCodec, filters_of, other_search
from coffee_core.rest.filters import FilterField, FilterReader
from coffee_core.rest.links import without_place
from coffee_core.rest.manager import Manager
from coffee_core.rest.settings import RestSettings

COUNT_MODES: Mapping[str, CountMode] = {mode.value: mode for mode in CountMode}
SEARCH_PARAMETERS = ("sortBy", "sortDir", "page", "size", "cursor", "count", "fields", "q")

REMEMBERED: Final = 1000
"""Queries of which the meaning is remembered; when there are so many all are forgotten."""
REMEMBERED_BYTES: Final = 256
"""Of one of them."""


class Narrowed(NamedTuple):
    """What `fields` and `include` ask for."""

    fields: tuple[str, ...] | None
    """None: what is answered to everybody."""
    named: tuple[str, ...]
    """Those that were named: a plan may lock them."""


class Asked(NamedTuple):
    """What the parameters of a search say, whoever asks."""

    sort: FilterField
    descending: bool
    size: int
    page: int
    narrowed: Narrowed
    counting: CountMode
    rest: str
    """See `without_place`."""


class SearchReader(Generic[EntryT, EntityT, IdT]):
    """For one resource.

    The meaning of a query without free text and without a cursor is remembered: programs ask the same again with other
    filters. It is made of names and numbers alone, and what the caller's plan allows is looked at each time.
    """

    def __init__(
        self,
        manager: Manager[EntryT, EntityT, IdT],
        settings: RestSettings,
        resource: str,
        *,
        read_id: Callable[[object], IdT],
        narrow: Callable[[Mapping[str, str]], Narrowed],
        also_known: tuple[str, ...],
    ) -> None:
        self._manager = manager
        self._settings = settings
        self._resource = resource
        self._read_id = read_id
        self._narrow = narrow
        self._also_known = also_known
        self.filters = FilterReader(manager.fields, manager.dao.columns, settings)
        self._sortable = {n: f for n, f in self.filters.fields.items() if f.kind not in ("array", "json")}
        self.cursors = CursorCodec(settings.cursor_key.get_secret_value().encode())
        self._remembered: dict[bytes, Asked] = {}

    def read(
        self, raw: bytes, body: Mapping[str, object], known: Collection[str] = SEARCH_PARAMETERS
    ) -> tuple[SearchQuery, list[object]]:
        """What is looked for, and its filters as they came; `raw` is the query, `known` are the parameters taken.

        A cursor holds its search: what the caller says beside it must be the same, and may be left out.
        """
        remembered = self._remembered.get(raw) if known is SEARCH_PARAMETERS else None
        if remembered is not None:
            filters = body.get("filters", [])
            where = self.filters.read(filters)
            self._manager.require_unlocked(remembered.narrowed.named)
            return self._query(remembered, where, None), cast("list[object]", filters)
        return self._read(raw, body, known)

    def _read(self, raw: bytes, body: Mapping[str, object], known: Collection[str]) -> tuple[SearchQuery, list[object]]:
        given = parameters.parse(raw, (*known, *self._also_known))
        cursor = given.get("cursor")
        held = None if cursor is None else self.cursors.decode(cursor, self.scope())
        raw_filters = body.get("filters", []) if held is None else filters_of(held, body.get("filters"))
        where = self.filters.read(raw_filters)
        sort_by = given.get("sortBy", "id" if held is None else held.sort_by)
        sort = self._sortable.get(sort_by)
        if sort is None:
            raise self._not_sortable(sort_by)
        upwards = "ASC" if held is None or not held.descending else "DESC"
        descending = parameters.choice(given, "sortDir", upwards, ("ASC", "DESC")) == "DESC"
        size = parameters.whole(given, "size", self._settings.page_size, 1, self._settings.page_size_max)
        deepest = max(1, self._settings.offset_max // size)
        page = parameters.whole(given, "page", 1, 1, deepest)
        narrowed = self._narrow(given)
        self._manager.require_unlocked(narrowed.named)
        text = given.get("q", None if held is None else held.text)
        if text is not None and (not text.strip() or len(text) > self._settings.text_max):
            detail = f"must have 1 to {self._settings.text_max} characters"
            raise InputError(f"parameter 'q' {detail}", errors=[FieldError("?q", detail)])
        if held is not None and "page" in given:
            raise InputError("page and cursor exclude each other", errors=[FieldError("?page", "leave it out")])
        count = COUNT_MODES[parameters.choice(given, "count", "exact" if cursor is None else "none", COUNT_MODES)]
        asked = Asked(sort, descending, size, page, narrowed, count, without_place(raw))
        if held is None and text is None and known is SEARCH_PARAMETERS and len(raw) <= REMEMBERED_BYTES:
            self._remember(raw, asked)
        query = self._query(asked, where, text)
        filters = cast("list[object]", raw_filters)  # or it would not have been read
        if held is None:
            return query, filters
        if (held.sort_by, held.descending, held.text) != (sort.name, descending, text):
            raise other_search()
        value = None if held.sort_value is None else sort.read(held.sort_value)
        return replace(query, after=Cursor(value, self._read_id(held.id), held.before, held.backwards)), filters

    def _query(self, asked: Asked, where: Node, text: str | None) -> SearchQuery:
        sort, descending, size, page, narrowed, count, _ = asked
        self._manager.require_unlocked([*fields_of(where), sort.name])
        return SearchQuery(
            where=where,
            sort_by=sort.name,
            descending=descending,
            page=page,
            size=size,
            count=count,
            fields=narrowed.fields,
            text=text,
        )

    def _remember(self, raw: bytes, asked: Asked) -> None:
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
        self._remembered[raw] = asked

    def rest(self, raw: bytes) -> str:
        """`without_place` of a query that was read."""
        remembered = self._remembered.get(raw)
        return without_place(raw) if remembered is None else remembered.rest

    def scope(self) -> bytes:
        """What a cursor is good within."""
        return f"{self._resource} {current().partner_id}".encode()

    def _not_sortable(self, wire: str) -> InputError:
        there = dict.fromkeys(field.wire for field in self._sortable.values())
        detail = f"knows no {wire[:100]!r}; there are {', '.join(there)}"
        return InputError(f"parameter 'sortBy' {detail}", errors=[FieldError("?sortBy", detail)])
