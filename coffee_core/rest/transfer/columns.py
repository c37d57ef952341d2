"""From a header to a reader of rows: each record becomes a validated Entry that knows which fields were given."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from types import NoneType
from typing import Any, Generic, TypeAlias, TypeVar, get_args

import orjson
from pydantic import TypeAdapter, ValidationError

from coffee_core.domain.errors import InputError
from coffee_core.domain.ids import EntityT, EntryT, IdT
from coffee_core.rest.body import EntryReader
from coffee_core.rest.fields import EntryField
from coffee_core.rest.filters import FilterReader
from coffee_core.rest.manager import Manager
from coffee_core.rest.settings import RestSettings
from coffee_core.rest.transfer.mapping import ImportMapping
from coffee_core.rest.transfer.readers import Reader, shown
from coffee_core.rest.transfer.together import fields_set
from coffee_core.rest.validation import pointer

ESCAPED = re.compile(r"'+[=+\-@\t\r]")
"""A text cell that an export has made harmless for spreadsheets: one quote more than the text has."""

CellReader: TypeAlias = Callable[[Sequence[str]], tuple[str, object]]
ColumnReader: TypeAlias = Callable[[Sequence[Sequence[str]]], Sequence[object]]
"""Takes the columns of many records; answers the values of one field, or raises `Refused` for all of them."""
LEFT_OUT = object()
GivenT = TypeVar("GivenT")

_first = itemgetter(slice(0, 1))


class Refused(Exception):  # noqa: N818  # an outcome of one row, not a failure of ours
    """This record is not stored; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Columns(Generic[EntryT]):
    """What the records of one import mean. `keys` are the fields by which a record finds its row."""

    def __init__(self, manager: Manager[EntryT, EntityT, IdT], keys: Sequence[str], settings: RestSettings) -> None:
        self.manager = manager
        self.entry = manager.entry
        self.keys = tuple(keys)
        self.ignored: list[str] = []
        self._fields: Mapping[str, EntryField] = {f.wire: f for f in manager.fields.values()} | dict(manager.fields)
        self._kinds = FilterReader(manager.fields, manager.dao.columns, settings).fields
        self._json = EntryReader(manager.entry, manager.dao.id_column)
        self._read_only = {name for f in manager.fields.values() if f.read_only for name in (f.name, f.wire)}
        self._sources: dict[str, str] = {}
        self._readers: list[CellReader] = []
        self._column_readers: list[tuple[str, ColumnReader]] = []
        self._many: Callable[..., list[EntryT]] = TypeAdapter(list[manager.entry]).validator.validate_python  # type: ignore[name-defined]  # made at run time
        self._width = 0

    # -- the header

    def header(self, line: int, names: Sequence[str], mapping: ImportMapping | None) -> None:
        """Understand the header, or refuse the file: what is unknown, missing, repeated or locked is named."""
        stripped = [name.strip() for name in names]
        self._width = len(stripped)
        for at, name in enumerate(stripped):
            if not name:
                raise InputError(f"line {line}: column {at + 1} has no name")
            if name in stripped[:at]:
                raise InputError(f"line {line}: column {name[:100]!r} is there twice")
        filled = self._by_name(line, stripped) if mapping is None else self._by_mapping(line, stripped, mapping)
        missing = [key for key in self.keys if key not in filled]
        missing += [f.name for f in self.manager.fields.values() if f.required and f.name not in (*filled, *missing)]
        if missing:
            wires = ", ".join(repr(self.manager.fields[name].wire) for name in missing)
            raise InputError(f"line {line}: the file has no column {wires}, which every record needs")
        self.manager.require_unlocked(filled)

    def _by_name(self, line: int, names: Sequence[str]) -> list[str]:
        filled: list[str] = []
        for at, name in enumerate(names):
            field = self._fields.get(name)
            if field is None or (field.name not in self.manager.writable and not field.read_only):
                raise InputError(f"line {line}: unknown column {name[:100]!r}{_separated(names)}; {self._there()}")
            if field.read_only:
                self.ignored.append(name)
                continue
            if field.name in filled:
                raise InputError(f"line {line}: two columns are {field.wire!r}")
            filled.append(field.name)
            self._sources[field.name] = name
            cell, column = self._plain(field, at)
            self._readers.append(cell)
            self._column_readers.append((field.name, column))
        return filled

    def _there(self) -> str:
        return "there are " + ", ".join(self.manager.fields[name].wire for name in self.manager.writable)

    def _by_mapping(self, line: int, names: Sequence[str], mapping: ImportMapping) -> list[str]:
        places = {name: at for at, name in enumerate(names)}
        wanted = {*mapping.columns, *(s for derived in mapping.derived.values() for s in derived.sources)}
        missing, unknown = sorted(wanted - places.keys()), sorted(places.keys() - wanted - set(mapping.ignored))
        if missing or unknown:
            said = [f"{what} {', '.join(map(repr, some[:5]))}" for what, some in
                    (("lacks", missing), ("does not know", unknown)) if some]  # fmt: skip
            raise InputError(f"line {line}: the mapping {mapping.name} {' and '.join(said)}{_separated(names)}")
        for source, (name, read) in mapping.columns.items():
            self._sources[name] = source
            self._add(name, _mapped(name, source, places[source], read))
        for name, derived in mapping.derived.items():
            self._sources[name] = " + ".join(derived.sources)
            at = [places[source] for source in derived.sources]
            self._add(name, _combined(name, self._sources[name], at, derived.read))
        self.ignored += [name for name in names if name in mapping.ignored and name not in wanted]
        return mapping.fields()

    def _add(self, name: str, read: CellReader) -> None:
        self._readers.append(read)
        self._column_readers.append((name, lambda columns: [read(cells)[1] for cells in zip(*columns, strict=True)]))

    def _plain(self, field: EntryField, at: int) -> tuple[CellReader, ColumnReader]:
        known = self._kinds.get(field.name)
        kind = "text" if known is None else known.kind
        empty: object = None
        if not _takes_none(field.annotation):
            empty = "" if kind == "text" else LEFT_OUT
        name = field.name

        def value(cell: str) -> object:
            if not cell:
                return empty
            if kind == "text":
                return cell[1:] if cell[0] == "'" and ESCAPED.match(cell) else cell
            if kind in ("array", "json"):
                try:
                    return orjson.loads(cell)
                except orjson.JSONDecodeError:
                    raise Refused(f"column {field.wire!r}: {shown(cell)} is not JSON") from None
            return cell.strip()

        def column(columns: Sequence[Sequence[str]]) -> Sequence[object]:
            """What `value` makes of each cell, without a call for each; a `ValueError` for one that is not JSON."""
            cells = columns[at]
            if kind == "text":
                if set(map(_first, cells)).isdisjoint(("", "'")):
                    return cells  # nearly all of them
                return [cell if cell and cell[0] != "'" else value(cell) for cell in cells]
            read: Callable[[str], object] = orjson.loads if kind in ("array", "json") else str.strip
            if "" not in cells:
                return list(map(read, cells))
            return [read(cell) if cell else empty for cell in cells]

        return lambda cells: (name, value(cells[at])), column

    # -- the records

    def records(self, rows: Sequence[Sequence[str]]) -> list[EntryT | Refused]:
        """What `record` makes of each, column by column: what is the same for all of them is done once."""
        try:
            columns = list(zip(*rows, strict=True))
            if len(columns) != self._width:
                return [self._or_refused(self.record, row) for row in rows]
            names = [name for name, _ in self._column_readers]
            values = [read(columns) for _, read in self._column_readers]
        except (Refused, ValueError):  # of one of them, or not all are of one width
            return [self._or_refused(self.record, row) for row in rows]
        given = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
        for name, column in zip(names, values, strict=True):
            if LEFT_OUT in column:
                for one in given:
                    if one[name] is LEFT_OUT:
                        del one[name]
        return self._valid(given, rows)

    def _valid(self, given: Sequence[dict[str, object]], rows: Sequence[Sequence[str]]) -> list[EntryT | Refused]:
        """All in one go; those with a mistake are said to be so one by one, and the rest goes again."""
        bad: set[int | str] = set()
        try:
            return list(self._many(given, strict=False, by_name=True, by_alias=False))
        except ValidationError as error:
            bad.update(mistake["loc"][0] for mistake in error.errors(include_url=False, include_input=False))
        good = [one for at, one in enumerate(given) if at not in bad]
        try:
            rest = iter(self._many(good, strict=False, by_name=True, by_alias=False))
        except ValidationError:  # a validator that does not answer alike twice
            return [self._or_refused(self.record, row) for row in rows]
        return [self._or_refused(self.record, row) if at in bad else next(rest) for at, row in enumerate(rows)]

    def _or_refused(self, read: Callable[[GivenT], EntryT], given: GivenT) -> EntryT | Refused:
        try:
            return read(given)
        except Refused as refused:
            return refused

    def record(self, cells: Sequence[str]) -> EntryT:
        """The Entry of a CSV record, or `Refused`."""
        if len(cells) != self._width:
            raise Refused(f"has {len(cells)} cells; the header has {self._width}")
        values: dict[str, object] = {}
        for read in self._readers:
            name, value = read(cells)
            if value is not LEFT_OUT:
                values[name] = value
        try:
            return self.entry.model_validate(values, strict=False, by_name=True, by_alias=False)
        except ValidationError as error:
            raise Refused(self._reason(error)) from None

    def json_objects(self, lines: Sequence[str]) -> list[EntryT | Refused]:
        """What `json_object` makes of each. Each line must be an object by itself before all are read in one go."""
        objects: list[str | bytes] = []
        try:
            for line in lines:
                given = orjson.loads(line)
                if not isinstance(given, dict) or not self._read_only.isdisjoint(given):
                    return [self._or_refused(self.json_object, one) for one in lines]
                objects.append(line)
            entries = self._json.many(objects)
        except (orjson.JSONDecodeError, InputError):
            return [self._or_refused(self.json_object, one) for one in lines]
        keys = set(self.keys)
        if all(map(keys.issubset, map(fields_set, entries))):
            return list(entries)
        return [self._or_refused(self.json_object, one) for one in lines]

    def json_object(self, text: str) -> EntryT:
        """The Entry of an NDJSON line, or `Refused`. What the server sets is not read, as in a CSV file."""
        try:
            given = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise Refused(f"is not JSON: {error.msg} at character {error.pos}") from None
        if not isinstance(given, dict):
            raise Refused("is not a JSON object")
        self.ignored += [name for name in given if name in self._read_only and name not in self.ignored]
        try:
            writable = {name: value for name, value in given.items() if name not in self._read_only}
            entry = self._json.whole(orjson.dumps(writable))
        except InputError as error:
            raise Refused(error.detail) from None
        missing = [self.manager.fields[key].wire for key in self.keys if key not in entry.model_fields_set]
        if missing:
            raise Refused(f"has no {', '.join(missing)}")
        return entry

    def keys_of(self, entries: Sequence[EntryT]) -> list[tuple[object, ...]]:
        """What identifies each of the records."""
        return list(zip(*[[values[name] for values in map(vars, entries)] for name in self.keys], strict=True))

    def no_key(self, key: Sequence[object]) -> str:
        """Why a record is refused whose `key` has a part that is None."""
        name = self.keys[list(key).index(None)]
        return f"column {self._sources.get(name, name)!r}: is empty; records are found by it"

    def _reason(self, error: ValidationError) -> str:
        said: list[str] = []
        for mistake in error.errors(include_url=False, include_input=False)[:3]:
            name, *path = mistake["loc"] or ("",)
            inner = pointer(tuple(path))
            source = self._sources.get(str(name), str(name))
            said.append(f"column {source!r}{inner}: {mistake['msg']}" if name else mistake["msg"])
        return "; ".join(said) + ("; ..." if error.error_count() > 3 else "")


def _mapped(name: str, source: str, at: int, read: Reader) -> CellReader:
    def value(cells: Sequence[str]) -> tuple[str, object]:
        try:
            return name, read(cells[at])
        except ValueError as error:
            raise Refused(f"column {source!r}: {error}") from None

    return value


def _combined(name: str, source: str, at: Sequence[int], read: Callable[..., object]) -> CellReader:
    def value(cells: Sequence[str]) -> tuple[str, object]:
        try:
            return name, read(*[cells[one] for one in at])
        except ValueError as error:
            raise Refused(f"column {source!r}: {error}") from None

    return value


def _takes_none(annotation: Any) -> bool:  # an author's annotation can be anything
    return annotation is None or annotation is NoneType or NoneType in get_args(annotation)


def _separated(names: Sequence[str]) -> str:
    """A word on the likeliest cause, where the whole header is one cell."""
    if len(names) == 1:
        for separator, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if separator in names[0]:
                return f" (the header holds {word}: export the file with commas)"
    return ""
