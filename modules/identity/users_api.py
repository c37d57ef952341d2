"""`/users`: the generic resource twice, within the caller's partner and across partners, and passwords."""

from __future__ import annotations

from dataclasses import replace

from coffee_core.domain.context import current
from coffee_core.rest.api import Api, ApiOptions, Operation
from coffee_core.rest.container import Container
from coffee_core.rest.describe import id_parameter
from coffee_core.rest.parameters import parse
from coffee_core.rest.route import Route
from coffee_core.wire.message import Handler, Request, Response
from modules.identity.answers import read_body
from modules.identity.entity import UserEntity
from modules.identity.entry import NewUserBody, PasswordBody, UserEntry
from modules.identity.users import UserService

BASE = "/api/users"
ID = id_parameter(int)


def by_caller(own: Handler, across: Handler) -> Handler:
    """`across` for operators, `own` for everybody else."""

    async def handle(request: Request) -> Response:
        return await (across if current().is_operator else own)(request)

    return handle


class UsersApi:
    """What only operators may do refuses the others by itself: the stack across partners lets nobody else write."""

    def __init__(self, own: UserService, across: UserService, container: Container) -> None:
        self._services = own, across
        reads: set[Operation] = {"get", "list", "search", "patch"}
        self._own = Api[UserEntry, UserEntity, int](
            own, int, "users", settings=container.rest, options=ApiOptions(operations=reads, partners_write=True)
        )
        self._across = Api[UserEntry, UserEntity, int](
            across, int, "users", settings=container.rest,
            options=ApiOptions(operations={*reads, "delete", "restore"}, partners_write=False),
        )  # fmt: skip

    def routes(self) -> list[Route]:
        """All of them."""
        own = {route.name: route.handler for route in self._own.routes()}
        shared = [
            replace(route, handler=by_caller(own.get(route.name, route.handler), route.handler))
            for route in self._across.routes()
        ]
        tags = ("users",)
        return [
            *shared,
            Route(
                method="GET", path=f"{BASE}/me", handler=self.me, name="users_me", summary="The caller himself",
                data=UserEntry, tags=tags,
            ),
            Route(
                method="POST", path=BASE, handler=self.add, name="users_create", summary="Create a user (operators)",
                body=NewUserBody, data=UserEntry, status=201, errors=(403, 404, 409, 413, 415), tags=tags,
            ),
            Route(
                method="PUT", path=f"{BASE}/{{id}}/password", handler=self.change_password, name="users_password",
                summary="Change a password: ends all sessions of the user", parameters=(ID,), body=PasswordBody,
                status=204, errors=(403, 404, 413, 415, 429), tags=tags,
            ),
        ]  # fmt: skip

    async def me(self, request: Request) -> Response:
        """GET /me."""
        parse(request.query, ())
        return self._own.answer(await self._services[0].get(current().user()))

    async def add(self, request: Request) -> Response:
        """POST /."""
        current().require_operator()
        parse(request.query, ())
        return self._across.answer(await self._services[1].add(await read_body(request, NewUserBody)), 201)

    async def change_password(self, request: Request) -> Response:
        """PUT /{id}/password."""
        parse(request.query, ())
        id = self._own.parse_id(request.path_params["id"])
        service = self._services[1] if current().is_operator else self._services[0]
        await service.change_password(id, await read_body(request, PasswordBody))
        return Response(204, content_type=None)
