"""From method and path to a handler: the routes of all services in one trie, closed unless a route says otherwise."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import Final

from coffee_core.domain.context import current
from coffee_core.domain.errors import MethodError, NotFoundError, PlanError, UnauthenticatedError
from coffee_core.domain.plan import Plan
from coffee_core.rest.preferences import read as read_preferences
from coffee_core.rest.route import Route
from coffee_core.wire.message import Request, Response

_PARAMETER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}").fullmatch
_LITERAL: Final = re.compile(r"[^{}]+").fullmatch


class Mount:
    """A route where it is reached: `GET /{service}` + its path, without a slash at the end."""

    __slots__ = ("handler", "names", "path", "plan", "public", "route", "service", "template")

    def __init__(self, service: str, route: Route) -> None:
        self.service = service
        self.route = route
        self.handler = route.handler
        self.public = route.public
        self.plan = route.plan or Plan.FREE
        self.path = _trimmed((f"/{service}" if service else "") + route.path)
        self.template = f"{route.method} {self.path}"
        """For logs and metrics: bounded in number."""
        self.names: tuple[tuple[int, str], ...] = tuple(
            (place, found[1])
            for place, segment in enumerate(self.path.split("/"))
            if (found := _PARAMETER(segment)) is not None
        )
        """The parameters, each with the place of its segment."""


class _Node:
    """A place in the trie. `methods` is what can be done here; empty on the way to somewhere."""

    __slots__ = ("literals", "methods", "parameter")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.methods: dict[str, Mount] = {}


class Router:
    """The innermost handler: finds the route, checks that the caller may use it, and calls its handler.

    A literal segment wins over a parameter, and the most specific path decides: where it lacks the method the answer
    is 405, whatever less specific paths offer. One slash at the end of a path changes nothing. HEAD is served by GET;
    OPTIONS lists the methods. A service named "" is mounted at the root.
    """

    def __init__(self, services: Mapping[str, Sequence[Route]]) -> None:
        self._root = _Node()
        self._static: dict[str, _Node] = {}
        self._records: dict[str, tuple[Mapping[str, _Node], _Node]] = {}
        """By a path of literals alone: those that may follow it, and the place of the parameter that follows else."""
        self.mounts: list[Mount] = []
        operations: dict[str, str] = {}
        for service, routes in services.items():
            if "/" in service:
                raise ValueError(f"a service is one path segment; {service!r} is not")
            for route in routes:
                mount = Mount(service, route)
                if route.name in operations:
                    raise ValueError(f"two routes are named {route.name!r}: {operations[route.name]}, {mount.template}")
                operations[route.name] = mount.template
                self._add(mount)

    def _add(self, mount: Mount) -> None:
        if not mount.route.path.startswith("/"):
            raise ValueError(f"{mount.template}: a route's path starts with a slash")
        names = [name for _, name in mount.names]
        if len(set(names)) != len(names):
            raise ValueError(f"{mount.template}: a parameter is named twice")
        node = self._root
        above = node
        for segment in mount.path.split("/")[1:]:
            above = node
            if _PARAMETER(segment):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            elif _LITERAL(segment):
                node = node.literals.setdefault(segment, _Node())
            elif mount.path != "/":
                raise ValueError(f"{mount.template}: {segment!r} is neither a literal nor {{a_parameter}}")
        other = node.methods.get(mount.route.method)
        if other is not None:
            raise ValueError(f"{mount.template} clashes with {other.template}")
        node.methods[mount.route.method] = mount
        if not names:
            self._static[mount.path] = node
        elif len(names) == 1 and node is above.parameter:
            self._records[mount.path.rpartition("/")[0]] = (above.literals, node)
        self.mounts.append(mount)

    def __call__(self, request: Request) -> Awaitable[Response]:
        """Answer the request; what is not there or not allowed is a domain error, raised at once."""
        path = request.path
        node = self._static.get(path)
        last = ""
        if node is None:
            before, _, last = path.rpartition("/")
            record = self._records.get(before)
            if record is not None and last and last not in record[0]:
                node = record[1]  # most requests; what is reached by literals is the first choice
            else:
                node, last = self._find(_segments(path)), ""
                if node is None:
                    raise NotFoundError("there is nothing at this path")
        mount = node.methods.get(request.method)
        if mount is None:
            mount = self._other_method(node, request)
            if mount is None:
                return _options(node)
        request.route = mount.template
        if mount.names:
            if last:
                request.path_params = {mount.names[0][1]: last}
            else:
                segments = _segments(path)
                request.path_params = {name: segments[place] for place, name in mount.names}
        if not mount.public or mount.plan:
            _admit(mount)
        if b"prefer" in request.headers:
            read_preferences(request.headers[b"prefer"], mount.route.preferences)
        return mount.handler(request)

    def _find(self, segments: Sequence[str]) -> _Node | None:
        """The first choice at every step; only if that leads nowhere are the others tried."""
        node = self._root
        for segment in segments[1:]:
            following = node.literals.get(segment) or node.parameter
            if following is None or not segment:
                return _search(self._root, segments, 1)
            node = following
        return node if node.methods else _search(self._root, segments, 1)

    def _other_method(self, node: _Node, request: Request) -> Mount | None:
        """GET for HEAD; None for OPTIONS; nothing for the rest."""
        get = node.methods.get("GET")
        if request.method == "HEAD" and get is not None:
            return get
        path = next(iter(node.methods.values())).path
        if request.method == "OPTIONS":
            request.route = f"OPTIONS {path}"
            return None
        request.route = f"* {path}"
        allowed = _allowed(node)
        raise MethodError(f"this path takes {', '.join(allowed)}", allowed=allowed)


def _segments(path: str) -> Sequence[str]:
    return (path[:-1] if path[-1:] == "/" else path).split("/")


def _search(node: _Node, segments: Sequence[str], place: int) -> _Node | None:
    if place == len(segments):
        return node if node.methods else None
    for following in _choices(node, segments[place]):
        found = _search(following, segments, place + 1)
        if found is not None:
            return found
    return None


def _choices(node: _Node, segment: str) -> Iterator[_Node]:
    literal = node.literals.get(segment)
    if literal is not None:
        yield literal
    if node.parameter is not None and segment:
        yield node.parameter


async def _options(node: _Node) -> Response:
    return Response(204, content_type=None, headers=[(b"allow", ", ".join(_allowed(node)).encode())])


def _allowed(node: _Node) -> list[str]:
    return sorted({*node.methods, "OPTIONS", *(("HEAD",) if "GET" in node.methods else ())})


def _trimmed(path: str) -> str:
    return path.rstrip("/") or "/"


def _admit(mount: Mount) -> None:
    """Refuse a caller without a session, or on a smaller plan; only what is declared public is open."""
    context = current()
    if not mount.public and context.partner_id is None:
        raise UnauthenticatedError("this needs a session: log in and send its token")
    if context.plan < mount.plan:
        raise PlanError(f"this needs the plan {mount.plan.name}; yours is {Plan(context.plan).name}")
