"""The routes of rows that are reached through their partner."""

from __future__ import annotations

from coffee_core.domain.context import current
from coffee_core.domain.ids import EntityT, EntryT
from coffee_core.domain.search import SearchQuery
from coffee_core.rest.api import Api
from coffee_core.rest.body import read_json
from coffee_core.rest.conditional import expected_version
from coffee_core.rest.container import Container
from coffee_core.rest.describe import IF_MATCH
from coffee_core.rest.parameters import parse, whole
from coffee_core.rest.patch import partial_model
from coffee_core.rest.route import Parameter, Route
from coffee_core.wire.message import Request, Response
from modules.identity.of_partner import OfPartner, OfPartnerService

PARTNER = Parameter(name="id", where="path", type=int, required=True, description="The partner's id.")
ROW = Parameter(name="rowId", where="path", type=int, required=True, description="The record's id.")
PAGE = Parameter(name="page", where="query", type=int, minimum=1, default=1, description="The first page is 1.")


class OfPartnerApi(Api[EntryT, EntityT, int]):
    """`/partners/{id}/{plural}` and `/partners/{id}/{plural}/{rowId}`."""

    def __init__(
        self, manager: OfPartner[EntryT, EntityT], plural: str, container: Container, *, deletes: bool
    ) -> None:
        self._rows = OfPartnerService(manager)
        super().__init__(self._rows, int, f"partners/{{id}}/{plural}", settings=container.rest)
        self._plural = plural
        self._deletes = deletes

    def routes(self) -> list[Route]:
        """List, create, read, change, and delete where rows may go."""
        base, entry, tags = f"/api/{self.resource}", self.manager.entry, (self._plural,)
        one, name = f"{base}/{{rowId}}", self._plural.removesuffix("s")
        size = Parameter(name="size", where="query", type=int, minimum=1, maximum=self.settings.page_size_max)
        routes = [
            Route(
                method="GET", path=base, handler=self.read_all, name=f"{name}_list", tags=tags,
                summary=f"The {self._plural} of a partner", parameters=(PARTNER, PAGE, size), data=entry, errors=(404,),
            ),
            Route(
                method="POST", path=base, handler=self.add, name=f"{name}_create", status=201, tags=tags,
                summary=f"Create a {name} (operators)", parameters=(PARTNER,), body=entry, data=entry,
                errors=(403, 404, 413, 415, 422), repeatable=True,
            ),
            Route(
                method="GET", path=one, handler=self.read_one, name=f"{name}_get", summary=f"Read a {name}",
                parameters=(PARTNER, ROW), data=entry, errors=(404,), tags=tags,
            ),
            Route(
                method="PATCH", path=one, handler=self.change, name=f"{name}_patch", tags=tags,
                summary=f"Change a {name} (operators)", parameters=(PARTNER, ROW, IF_MATCH), body=partial_model(entry),
                body_media=("application/merge-patch+json", "application/json"), data=entry,
                errors=(403, 404, 412, 413, 415, 422),
            ),
        ]  # fmt: skip
        if self._deletes:
            routes.append(
                Route(
                    method="DELETE", path=one, handler=self.remove, name=f"{name}_delete", status=204, tags=tags,
                    summary=f"Delete a {name} (operators)", parameters=(PARTNER, ROW, IF_MATCH), errors=(403, 404, 412),
                )
            )  # fmt: skip
        return routes

    async def read_all(self, request: Request) -> Response:
        """GET."""
        given = parse(request.query, ("page", "size"))
        size = whole(given, "size", self.settings.page_size, 1, self.settings.page_size_max)
        page = whole(given, "page", 1, 1, max(1, self.settings.offset_max // size))
        return self.answer(await self._rows.all_of(self._id(request), SearchQuery(page=page, size=size)))

    async def read_one(self, request: Request) -> Response:
        """GET /{rowId}."""
        self._no_query(request)
        return self.answer(await self._rows.one(self._id(request), self._row(request)))

    async def add(self, request: Request) -> Response:
        """POST."""
        current().require_operator()
        self._no_query(request)
        entry = self.reader.whole(await read_json(request, self.settings.body_bytes_max))
        return self.answer(await self._rows.add(self._id(request), entry), 201)

    async def change(self, request: Request) -> Response:
        """PATCH /{rowId}."""
        current().require_operator()
        self._no_query(request)
        version = expected_version(request.headers, required=False)
        patch = self.reader.part(await read_json(request, self.settings.body_bytes_max), id=self._row(request))
        return self.answer(await self._rows.change(self._id(request), self._row(request), patch, version))

    async def remove(self, request: Request) -> Response:
        """DELETE /{rowId}."""
        current().require_operator()
        self._no_query(request)
        version = expected_version(request.headers, required=False)
        await self._rows.remove(self._id(request), self._row(request), version)
        return Response(204, content_type=None)

    def _row(self, request: Request) -> int:
        return self.parse_id(request.path_params["rowId"])
