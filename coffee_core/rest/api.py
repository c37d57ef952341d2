"""HTTP: routes, parameters, status codes and headers of one resource."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, cast, get_args

from msgspec.structs import replace
from pydantic import TypeAdapter, ValidationError

from coffee_core.domain.context import current
from coffee_core.domain.errors import FieldError, InputError, NotFoundError
from coffee_core.domain.ids import EntityT, EntryT, IdT
from coffee_core.domain.plan import Plan
from coffee_core.domain.search import CountMode, SearchQuery
from coffee_core.metering.declare import Metered
from coffee_core.rest import parameters, preferences
from coffee_core.rest.body import SEARCH_MEMBERS, EntryReader, json_here, read_json, read_object
from coffee_core.rest.conditional import etag, expected_version, not_modified
from coffee_core.rest.describe import crud_routes
from coffee_core.rest.links import link_header
from coffee_core.rest.page import Envelope
from coffee_core.rest.route import Route
from coffee_core.rest.searching import Narrowed, SearchReader
from coffee_core.rest.service import Service
from coffee_core.rest.settings import RestSettings
from coffee_core.rest.transfer.api import TransferApi
from coffee_core.rest.transfer.mapping import ImportMapping
from coffee_core.wire.message import Request, Response

Operation = Literal[
    "create", "get", "list", "replace", "patch", "delete", "restore", "search", "bulk", "export", "import"
]
OPERATIONS: frozenset[Operation] = frozenset(get_args(Operation))


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """What of the generic resource is offered, and to whom."""

    operations: Collection[Operation] = OPERATIONS
    public: Collection[Operation] = ()
    """Operations that need no session."""
    plans: Mapping[Operation, Plan] = field(default_factory=dict)
    """The plan an operation needs, where it is another than `plan`."""
    plan: Plan | None = None
    """The plan of every other operation. None is FREE too, but undecided: `coffee check` asks for a decision."""
    metered: Mapping[Operation, Metered] = field(default_factory=dict)
    """Operations whose uses are counted: `{"search": Metered("DISCOVERY")}`."""
    version_required: bool = False
    """Whether a change without If-Match is refused (428)."""
    partners_write: bool | None = None
    """Who may write: every partner (True) or operators (False). None: partners where rows belong to one."""
    natural_key: Sequence[str] = ()
    """Columns of the unique index by which bulk upsert and import find rows; of a tenant's rows it includes
    `partner_id`. Without one neither is offered."""
    mappings: Sequence[ImportMapping] = ()
    """Column layouts of other people's files that the import knows."""


class Api(Generic[EntryT, EntityT, IdT]):
    """`Api(Service(Manager(ItemEntry, dao)), int, "item")`. A subclass adds routes of its own in `routes()`."""

    def __init__(
        self,
        service: Service[EntryT, EntityT, IdT],
        id_type: type[IdT],
        resource: str,
        *,
        settings: RestSettings | None = None,
        options: ApiOptions | None = None,
    ) -> None:
        self.service = service
        self.manager = service.manager
        self.resource = resource
        self.id_type = id_type
        self.settings = settings or RestSettings()
        self._body_bytes_max = self.settings.body_bytes_max
        self.options = options or ApiOptions()
        dao = self.manager.dao
        shared = not dao.tenant if self.options.partners_write is None else not self.options.partners_write
        self._only_operators = shared
        offered = set(self.options.operations)
        self.operations = offered - ({"restore"} if not dao.soft else set())
        if not self.options.natural_key:
            self.operations -= {"import"}
        self.reader = EntryReader(self.manager.entry, dao.id_column)
        self._wire = {f.wire: n for n, f in self.manager.fields.items()} | {n: n for n in self.manager.fields}
        self._includable = {wire: name for wire, name in self._wire.items() if name in self.manager.relations.declared}
        self.includes: tuple[str, ...] = ("include",) if self._includable else ()
        """The parameter that asks for related records, where there are any."""
        self._read_id: Callable[[object], IdT] = TypeAdapter(id_type).validate_python
        self.searches = SearchReader(
            self.manager,
            self.settings,
            resource,
            read_id=self._read_id,
            narrow=self._narrowed,
            also_known=self.includes,
        )
        self.filters = self.searches.filters
        self.transfer = TransferApi(self, self.options.natural_key)

    def routes(self) -> list[Route]:
        """The routes of the resource."""
        return crud_routes(self)

    # -- reading the request

    def parse_id(self, text: str) -> IdT:
        """An id from the path. One that cannot be an id names no row: `NotFoundError`."""
        if self.id_type is int:
            if text.isascii() and text.isdigit() and len(text) < 19:
                return int(text)  # type: ignore[return-value]  # IdT is int here, which no checker can see
        elif self.id_type is uuid.UUID:
            try:
                return cast("IdT", uuid.UUID(text))
            except ValueError:
                pass
        elif text:
            return cast("IdT", text)
        raise NotFoundError(f"{text[:100]!r} is not an id of {self.resource}")

    def _id(self, request: Request) -> IdT:
        return self.parse_id(request.path_params["id"])

    def _fields(self, request: Request) -> tuple[str, ...] | None:
        if not request.query:
            return None
        return self.fields_of(parameters.parse(request.query, ("fields", *self.includes)))

    def fields_of(self, given: Mapping[str, str]) -> tuple[str, ...] | None:
        """What `fields` and `include` ask for; None for what is answered to everybody."""
        fields, named = self._narrowed(given)
        self.manager.require_unlocked(named)
        return fields

    def _narrowed(self, given: Mapping[str, str]) -> Narrowed:
        fields = parameters.names(given, "fields", self._wire)
        included = parameters.names(given, "include", self._includable)
        named = (*(fields or ()), *(included or ()))
        if included is None:
            return Narrowed(fields, named)
        if fields is None:
            described = self.manager.fields.values()
            fields = tuple([field.name for field in described if field.related is None or field.related.always])
        return Narrowed(tuple(dict.fromkeys((*fields, *included))), named)

    def may_write(self) -> None:
        """Refuse a caller who may not write here."""
        if self._only_operators:
            current().require_operator()

    def _no_query(self, request: Request) -> None:
        if request.query:
            parameters.parse_write(request.query)

    # -- operations

    async def get(self, request: Request) -> Response:
        """GET /{id}."""
        envelope = await self.service.get(self.parse_id(request.path_params["id"]), self._fields(request))
        version = envelope.page.version
        if version is not None and not_modified(request.headers, version):
            return Response(304, content_type=None, headers=[(b"etag", etag(version))])
        return self.answer(envelope)

    async def get_many(self, request: Request) -> Response:
        """GET /?ids=1,2,3."""
        given = parameters.parse(request.query, ("ids", "fields", *self.includes))
        text = given.get("ids")
        if not text:
            detail = "is needed: the ids to read, with commas between them"
            raise InputError(f"parameter 'ids' {detail}", errors=[FieldError("?ids", detail)])
        parts = list(dict.fromkeys(text.split(",")))
        if len(parts) > self.settings.ids_max:
            raise InputError(f"parameter 'ids' has {len(parts)} ids; at most {self.settings.ids_max}")
        try:
            ids = [self._read_id(part) for part in parts]
        except ValidationError:
            raise InputError("parameter 'ids' holds something that is no id") from None
        return self.answer(await self.service.get_many(ids, self.fields_of(given)))

    async def search(self, request: Request) -> Response:
        """POST /search."""
        return await self.found(request, await read_object(request, self.settings.body_bytes_max, SEARCH_MEMBERS))

    async def found(self, request: Request, body: Mapping[str, object]) -> Response:
        """The answer to a search whose filters somebody has read, or made, already."""
        query, filters = self.searches.read(request.query, body)
        preferred = request.headers.get(b"prefer")
        if preferred is not None:
            query = self._count_preferred(request, query, preferred)
        envelope = await self.service.search(query)
        self.searched(request, query, filters, envelope)
        page, total = envelope.page, envelope.total
        cursor, back = [
            None if place is None else self.searches.cursors.encode(place, query, filters, self.searches.scope())
            for place in (page.next, page.previous)
        ]
        response = Response(200, envelope.encode(cursor))
        more = cursor is not None and (
            total is None or query.count is not CountMode.EXACT or query.page * query.size < total
        )
        link = link_header(request, query, self.searches.rest, more=more, cursor=cursor, back=back)
        if link is not None:
            response.headers.append((b"link", link))
        if preferred is not None:
            response.headers.append(preferences.applied({"count": query.count.value}))
        return response

    def searched(self, request: Request, query: SearchQuery, filters: list[object], envelope: Envelope[EntryT]) -> None:
        """Runs after each search, for a subclass that takes note of it."""

    def _count_preferred(self, request: Request, query: SearchQuery, header: bytes) -> SearchQuery:
        """`Prefer: count=` is the parameter by another name; the two must not differ."""
        wanted = preferences.read(header, preferences.COUNT).get("count")
        if wanted is None or wanted == query.count:
            return query
        if b"count=" in request.query:
            raise InputError("Prefer and the parameter 'count' differ", errors=[FieldError("?count", "leave it out")])
        return replace(query, count=CountMode(wanted))

    async def create(self, request: Request) -> Response:
        """POST /."""
        self.may_write()
        self._no_query(request)
        limit = self._body_bytes_max
        entry = self.reader.whole(json_here(request, limit) or await read_json(request, limit))
        envelope = await self.service.create(entry)
        response = self.answer(envelope, 201)
        response.headers.append((b"location", f"{request.path.rstrip('/')}/{envelope.page.key}".encode()))
        return response

    async def replace(self, request: Request) -> Response:
        """PUT /{id}."""
        self.may_write()
        self._no_query(request)
        id = self.parse_id(request.path_params["id"])
        version = expected_version(request.headers, required=self.options.version_required)
        entry = self.reader.whole(await read_json(request, self.settings.body_bytes_max), id=id)
        return self.answer(await self.service.replace(id, entry, version))

    async def patch(self, request: Request) -> Response:
        """PATCH /{id}."""
        self.may_write()
        self._no_query(request)
        id = self.parse_id(request.path_params["id"])
        version = expected_version(request.headers, required=self.options.version_required)
        limit = self._body_bytes_max
        patch = self.reader.part(json_here(request, limit) or await read_json(request, limit), id=id)
        return self.answer(await self.service.patch(id, patch, version))

    async def delete(self, request: Request) -> Response:
        """DELETE /{id}."""
        self.may_write()
        self._no_query(request)
        version = expected_version(request.headers, required=self.options.version_required)
        await self.service.delete(self._id(request), version)
        return Response(204, content_type=None)

    async def restore(self, request: Request) -> Response:
        """POST /{id}/restore."""
        self.may_write()
        self._no_query(request)
        return self.answer(await self.service.restore(self._id(request)))

    def answer(self, envelope: Envelope[EntryT], status: int = 200) -> Response:
        """The envelope as a response, with the version of a single record as its ETag."""
        response = Response(status, envelope.encode())
        if envelope.page.version is not None:
            response.headers.append((b"etag", etag(envelope.page.version)))
        return response
