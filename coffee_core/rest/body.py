"""Request bodies: read within bounds, of the right media type, validated strictly into Entries and patches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import attrgetter
from typing import Any, Generic, TypeVar

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from coffee_core.domain.errors import FieldError, InputError, MediaTypeError
from coffee_core.domain.ids import EntryT
from coffee_core.rest.fields import describe
from coffee_core.rest.patch import Patch, partial_model
from coffee_core.rest.validation import pointer, refuse
from coffee_core.wire.message import BufferedBody, Request

ModelT = TypeVar("ModelT", bound=BaseModel)
SEARCH_MEMBERS = frozenset(("filters",))
"""Of the body of a search."""
_named = attrgetter("__pydantic_fields_set__")
JSON_TYPES = (b"application/json", b"application/merge-patch+json")


def json_here(request: Request, limit: int) -> bytes | None:
    """As `read_json`, of a body that is here already; None if it has to be awaited."""
    media = request.headers.get(b"content-type")
    if media is not None and media not in JSON_TYPES and media.partition(b";")[0].strip().lower() not in JSON_TYPES:
        raise MediaTypeError("send application/json")
    body = request.body
    return _some(body.within(limit)) if type(body) is BufferedBody else None


async def read_json(request: Request, limit: int) -> bytes:
    """The body's bytes, if it is said to be JSON."""
    raw = json_here(request, limit)
    return raw if raw is not None else _some(await request.body.read(limit))


def _some(raw: bytes) -> bytes:
    if not raw:
        raise InputError("the body is empty; a JSON document is expected")
    return raw


async def read_object(
    request: Request, limit: int, known: AbstractSet[str] | None
) -> dict[str, Any]:  # Any: parsed JSON
    """A JSON object with no members but `known` (None: any); an empty body is an empty object."""
    media = request.headers.get(b"content-type")
    body = request.body
    raw = body.within(limit) if type(body) is BufferedBody else await body.read(limit)
    if not raw:
        return {}
    if media is not None and media not in JSON_TYPES and media.partition(b";")[0].strip().lower() not in JSON_TYPES:
        raise MediaTypeError("send application/json")
    try:
        given = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InputError(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    if not isinstance(given, dict):
        raise InputError("the body must be a JSON object")
    if known is None:
        return given
    if not given.keys() <= known:
        unknown = sorted(given.keys() - known)
        raise InputError(
            f"unknown members {unknown}; there are {', '.join(sorted(known))}",
            errors=[FieldError(pointer((name,)), "unknown") for name in unknown],
        )
    return given


async def read_model(request: Request, limit: int, model: type[ModelT]) -> ModelT:
    """A JSON object as a model of its own, read strictly; an empty body is the model's defaults."""
    given = await read_object(request, limit, None)
    try:
        return model.model_validate_json(orjson.dumps(given), strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        refuse(error)


class EntryReader(Generic[EntryT]):
    """JSON to one Entry type."""

    def __init__(self, entry: type[EntryT], id_field: str) -> None:
        self.entry = entry
        self._id_field = id_field
        # the validators themselves: `model_validate_json` looks at every one of its options before it calls them
        entry.model_rebuild()
        self._whole: Callable[..., EntryT] = entry.__pydantic_validator__.validate_json
        self._part: Callable[..., EntryT] = partial_model(entry).__pydantic_validator__.validate_json
        self._many: Callable[..., list[EntryT]] = TypeAdapter(list[entry]).validator.validate_json  # type: ignore[valid-type]  # made at run time
        self._read_only: Mapping[str, str] = {f.name: f.wire for f in describe(entry).values() if f.read_only}
        self._settable = frozenset(entry.model_fields) - self._read_only.keys()

    def whole(self, raw: bytes, *, id: object = None) -> EntryT:
        """A new record, or (with `id`) the replacement of one: that may repeat its own id."""
        try:
            entry = self._whole(raw, strict=True, by_alias=True, by_name=False)
        except ValidationError as error:
            refuse(error)
        named: set[str] = entry.__pydantic_fields_set__
        if not self._settable.issuperset(named):
            self._refuse_read_only(entry, named, id)
        return entry

    def many(self, raws: Sequence[bytes | str]) -> list[EntryT]:
        """New records, each a whole JSON document; one mistake refuses all, so that `whole` has to say whose it is."""
        joined = ",".join(raws) if raws and isinstance(raws[0], str) else b",".join(raws)  # type: ignore[arg-type]  # all are of one kind
        try:
            entries = self._many(
                b"[%b]" % joined if isinstance(joined, bytes) else f"[{joined}]",
                strict=True,
                by_alias=True,
                by_name=False,
            )
        except ValidationError as error:
            refuse(error)
        read_only = self._read_only.keys()
        if not read_only.isdisjoint(set[str]().union(*map(_named, entries))):
            for entry in entries:
                self._refuse_read_only(entry, entry.__pydantic_fields_set__, None)
        return entries

    def part(self, raw: bytes, *, id: object = None) -> Patch[EntryT]:
        """A change: only what the document names."""
        try:
            partial = self._part(raw, strict=True, by_alias=True, by_name=False)
        except ValidationError as error:
            refuse(error)
        state = vars(partial)
        named: set[str] = partial.__pydantic_fields_set__
        if not self._settable.issuperset(named):
            self._refuse_read_only(partial, named, id)
            named = named & self._settable
        return Patch(self.entry, {name: state[name] for name in named})

    def _refuse_read_only(self, given: EntryT, named: set[str], id: object) -> None:
        named = named & self._read_only.keys()
        if self._id_field in named and id is not None and getattr(given, self._id_field) == id:
            named = named - {self._id_field}
        if named:
            errors = [FieldError("/" + self._read_only[name], "is set by the server") for name in sorted(named)]
            raise InputError(f"{errors[0].pointer} is set by the server: leave it out", errors=errors)
