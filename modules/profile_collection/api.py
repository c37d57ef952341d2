"""Routes beyond the generic ones."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from coffee_core.domain.errors import FieldError, InputError
from coffee_core.domain.search import SearchQuery
from coffee_core.rest import parameters
from coffee_core.rest.api import Api, ApiOptions
from coffee_core.rest.body import read_json
from coffee_core.rest.describe import id_parameter
from coffee_core.rest.dry_run import dry_runnable
from coffee_core.rest.route import Parameter, Route
from coffee_core.rest.settings import RestSettings
from coffee_core.rest.validation import refuse
from coffee_core.wire.message import Request, Response
from modules.profile_collection.entity import CollectionEntity, ItemEntity
from modules.profile_collection.entry import CollectionEntry, ItemEntry
from modules.profile_collection.service import CollectionService, ItemService

BASE = "/api/collection"
SHARE_ID = Parameter(name="shareId", where="path", required=True, description="The unguessable id of a share link.")
SIZE = Parameter(name="size", where="query", type=int, minimum=1, maximum=100, default=10)
ID = id_parameter(int)


class CollectionApi(Api[CollectionEntry, CollectionEntity, int]):
    """Collections."""

    def __init__(self, service: CollectionService, settings: RestSettings) -> None:
        super().__init__(service, int, "collection", settings=settings)
        self._collections = service

    def routes(self) -> list[Route]:
        """The generic ones, the share link and recent work."""
        tags = ("collection",)
        return [
            *super().routes(),
            Route(
                method="GET", path=f"{BASE}/byshareid/{{shareId}}", handler=self.by_share_id, public=True,
                name="collection_by_share_id", summary="Open a collection by its share link", parameters=(SHARE_ID,),
                data=CollectionEntry, errors=(404,), tags=tags,
            ),
            dry_runnable(Route(
                method="POST", path=f"{BASE}/{{id}}/link/renew", handler=self.renew_link, name="collection_renew_link",
                summary="Give a collection a new share link", parameters=(ID,), data=CollectionEntry, errors=(404,),
                tags=tags,
            )),
            Route(
                method="GET", path=f"{BASE}/recent", handler=self.recent, name="collection_recent",
                summary="Collections written last", parameters=(SIZE,), data=CollectionEntry, tags=tags,
            ),
        ]  # fmt: skip

    async def by_share_id(self, request: Request) -> Response:
        """GET /byshareid/{shareId}."""
        return self.answer(await self._collections.by_share_id(request.path_params["shareId"]))

    async def renew_link(self, request: Request) -> Response:
        """POST /{id}/link/renew."""
        self._no_query(request)
        return self.answer(await self._collections.renew_link(self.parse_id(request.path_params["id"])))

    async def recent(self, request: Request) -> Response:
        """GET /recent."""
        given = parameters.parse(request.query, ("size",))
        return self.answer(await self._collections.recent(parameters.whole(given, "size", 10, 1, 100)))


class ItemApi(Api[ItemEntry, ItemEntity, int]):
    """Items: written under their collection, searched over all of the partner's."""

    def __init__(self, service: ItemService, settings: RestSettings) -> None:
        super().__init__(service, int, "collection/item", settings=settings, options=ApiOptions(operations={"search"}))
        self._items = service
        self._read = TypeAdapter(list[ItemEntry])

    def routes(self) -> list[Route]:
        """Search, and what is done to the items of one collection."""
        tags, one = ("collection/item",), f"{BASE}/{{id}}/item"
        return [
            *super().routes(),
            dry_runnable(Route(
                method="POST", path=one, handler=self.add, name="collection_item_add", status=201,
                summary="Add one item, or a list of them", parameters=(ID,), body=ItemEntry, data=ItemEntry,
                errors=(404, 409, 413, 415, 422), tags=tags, repeatable=True,
            )),
            dry_runnable(Route(
                method="PUT", path=f"{one}/bulk", handler=self.put, name="collection_item_put",
                summary="Set a list of items, whether they were there or not", parameters=(ID,), body=ItemEntry,
                data=ItemEntry, errors=(404, 413, 415, 422), tags=tags,
            )),
            dry_runnable(Route(
                method="DELETE", path=one, handler=self.remove, name="collection_item_remove", status=204,
                summary="Take items out",
                parameters=(ID, Parameter(name="ids", where="query", required=True, description="Item ids.")),
                errors=(404,), tags=tags,
            )),
            Route(
                method="GET", path=f"{BASE}/byshareid/{{shareId}}/item", handler=self.behind_link, public=True,
                name="collection_item_by_share_id", summary="The visible items behind a share link",
                parameters=(SHARE_ID, SIZE, Parameter(name="page", where="query", type=int, minimum=1, default=1)),
                data=ItemEntry, errors=(404,), tags=tags,
            ),
        ]  # fmt: skip

    async def _entries(self, request: Request) -> list[ItemEntry]:
        raw = await read_json(request, self.settings.body_bytes_max)
        if raw.lstrip()[:1] == b"{":
            raw = b"[" + raw + b"]"
        try:
            entries = self._read.validate_json(raw, strict=True, by_alias=True, by_name=False)
        except ValidationError as error:
            refuse(error)
        errors = [
            FieldError(f"/{at}/{self.manager.fields[name].wire}", "is set by the server")
            for at, entry in enumerate(entries)
            for name in sorted(entry.model_fields_set)
            if self.manager.fields[name].read_only
        ]
        if errors:
            raise InputError(f"{errors[0].pointer} is set by the server: leave it out", errors=errors)
        if not 1 <= len(entries) <= self.settings.bulk_rows_max:
            raise InputError(f"send 1 to {self.settings.bulk_rows_max} items, not {len(entries)}")
        return entries

    async def add(self, request: Request) -> Response:
        """POST /{id}/item."""
        self._no_query(request)
        entries = await self._entries(request)
        return self.answer(await self._items.add(self.parse_id(request.path_params["id"]), entries), 201)

    async def put(self, request: Request) -> Response:
        """PUT /{id}/item/bulk."""
        self._no_query(request)
        entries = await self._entries(request)
        return self.answer(await self._items.put(self.parse_id(request.path_params["id"]), entries))

    async def remove(self, request: Request) -> Response:
        """DELETE /{id}/item?ids=1,2."""
        collection_id = self.parse_id(request.path_params["id"])
        given = parameters.parse_write(request.query, ("ids",))
        parts = given.get("ids", "").split(",")
        if not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
            raise InputError("parameter 'ids' is needed: item ids with commas between them")
        removed = await self._items.remove(collection_id, [int(part) for part in parts])
        if not removed:
            raise self.manager.missing(int(parts[0]))
        return Response(204, content_type=None)

    async def behind_link(self, request: Request) -> Response:
        """GET /byshareid/{shareId}/item."""
        given = parameters.parse(request.query, ("size", "page"))
        size = parameters.whole(given, "size", 10, 1, 100)
        query = SearchQuery(size=size, page=parameters.whole(given, "page", 1, 1, self.settings.offset_max // size))
        return self.answer(await self._items.behind_link(request.path_params["shareId"], query))
