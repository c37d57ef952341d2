"""One API description: what the modules' processes say about themselves, merged, as the caller's plan sees it.

`?plan=FREE|SAAS|PAID` shows what another plan sees; without a session and without that, nothing is marked.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qs

import httpx2
import orjson

from coffee_core.domain.plan import Plan
from coffee_core.wire.message import Request, Response
from gateway.edge.per_plan import Json, as_seen_on
from gateway.edge.problem import problem
from gateway.verdict.routes import RouteTable

log = logging.getLogger(__name__)

MAX_BYTES = 16 << 20
KINDS = ("schemas", "parameters", "responses", "requestBodies", "headers", "examples", "securitySchemes")


class MergedOpenApi:
    """Asks each upstream for its `/openapi.json`, at most once in `keep_seconds`."""

    def __init__(
        self,
        upstreams: Iterable[str],
        client: httpx2.AsyncClient,
        routes: RouteTable,
        *,
        keep_seconds: float = 30.0,
        retry: float = 2.0,
    ) -> None:
        self._routes = routes
        self._seen: dict[Plan | None, bytes] = {}
        self._upstreams = list(dict.fromkeys(upstreams))
        self._client = client
        self._keep = keep_seconds
        self._retry = retry
        self._merged: dict[str, Json] = {}
        self._until = 0.0
        self._lock = asyncio.Lock()

    async def get(self, request: Request) -> Response:
        """The merged description; 503 while no module answers."""
        (told, *_) = parse_qs(request.query.decode("latin-1")).get("plan", [""])
        name = told or request.headers.get(b"x-bb-plan-type", b"").decode("latin-1")
        if name and name not in Plan.__members__:
            return problem(request, 400, "`plan` is FREE, SAAS or PAID")
        async with self._lock:
            if time.monotonic() >= self._until:
                await self._refresh()
        if not self._merged:
            return problem(request, 503, "no module describes itself at the moment", (b"retry-after", b"2"))
        plan = Plan[name] if name else None
        seen = self._seen.get(plan)
        if seen is None:
            document = self._merged if plan is None else as_seen_on(plan, self._merged, self._routes)
            seen = self._seen[plan] = orjson.dumps(document)
        return Response(
            200, seen, headers=[(b"cache-control", b"private, max-age=30"), (b"vary", b"Authorization, Cookie")]
        )

    async def _refresh(self) -> None:
        found = await asyncio.gather(*(self._ask(url) for url in self._upstreams))
        documents = [document for document in found if document is not None]
        whole = len(documents) == len(self._upstreams)
        self._until = time.monotonic() + (self._keep if whole else self._retry)
        if documents and (whole or not self._merged):
            self._merged = merge(documents)
            self._seen.clear()

    async def _ask(self, url: str) -> dict[str, Json] | None:
        try:
            answer = await self._client.get(url + "/openapi.json")
            if answer.status_code == 200 and len(answer.content) <= MAX_BYTES:
                document = orjson.loads(answer.content)
                if isinstance(document, dict) and isinstance(document.get("paths"), dict):
                    return document
        except (httpx2.HTTPError, OSError, ValueError) as error:
            log.warning("no API description from %s: %s", url, type(error).__name__)
        return None


def merge(documents: Iterable[Mapping[str, Json]]) -> dict[str, Json]:
    """One description. Of a path that several have the first one's counts; components of one name that differ get a
    number, and their references follow.
    """
    paths: dict[str, Json] = {}
    components: dict[str, dict[str, Json]] = {}
    tags: dict[str, Json] = {}
    for document in documents:
        renamed = _renamed(_mapping(document.get("components")), components)
        for kind, entries in _mapping(document.get("components")).items():
            if kind not in KINDS:
                continue
            into = components.setdefault(kind, {})
            for name, value in _mapping(entries).items():
                into.setdefault(renamed.get((kind, name), name), _follow(value, renamed))
        for path, item in _mapping(document.get("paths")).items():
            paths.setdefault(path, _follow(item, renamed))
        listed = document.get("tags")
        for tag in listed if isinstance(listed, list) else []:
            tags.setdefault(str(_mapping(tag).get("name")), tag)
    bearer: Json = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    components.setdefault("securitySchemes", {})["bearer"] = bearer
    merged: dict[str, Json] = {
        "openapi": "3.1.0",
        "info": {"title": "Coffee", "version": "1", "description": "All modules, through the gateway."},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": dict(sorted(paths.items())),
        "components": dict(components),
        "tags": list(tags.values()),
    }
    return merged


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _renamed(theirs: Mapping[str, Json], ours: Mapping[str, Mapping[str, Json]]) -> dict[tuple[str, str], str]:
    """New names for components whose name is taken by another one."""
    renamed: dict[tuple[str, str], str] = {}
    for kind, entries in theirs.items():
        taken = ours.get(kind, {})
        for name, value in _mapping(entries).items():
            if name not in taken or taken[name] == value:
                continue
            number = 2
            while f"{name}_{number}" in taken and taken[f"{name}_{number}"] != value:
                number += 1
            renamed[kind, name] = f"{name}_{number}"
    return renamed


def _follow(value: Json, renamed: Mapping[tuple[str, str], str]) -> Json:
    """The value with its references to renamed components changed."""
    if not renamed:
        return value
    if isinstance(value, Mapping):
        return {
            key: _reference(each, renamed) if key == "$ref" else _follow(each, renamed) for key, each in value.items()
        }
    if isinstance(value, list):
        return [_follow(each, renamed) for each in value]
    return value


def _reference(value: Json, renamed: Mapping[tuple[str, str], str]) -> Json:
    if not isinstance(value, str) or not value.startswith("#/components/"):
        return value
    _, _, kind, name, *rest = value.split("/")
    return "/".join(["#/components", kind, renamed.get((kind, name), name), *rest])
