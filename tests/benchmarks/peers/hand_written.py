"""The yardstick: Starlette, an asyncpg pool and SQL by hand, JSON by orjson; no tenant, no plan, no log, no metrics."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

COLUMNS = "id, partner_id, owner, name, platform, followers, engagement, tags, created_at, updated_at, version"
ONE = f"SELECT {COLUMNS} FROM bench.item WHERE id = $1"
PAGE = (
    f"SELECT {COLUMNS} FROM bench.item WHERE partner_id = $1 AND platform = $2 AND followers >= $3 "
    "ORDER BY followers DESC, id DESC LIMIT $4 OFFSET $5"
)
NEW = (
    "INSERT INTO bench.item (partner_id, owner, name, platform, followers, engagement, tags) "
    f"VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING {COLUMNS}"
)
EDITABLE = ("owner", "name", "platform", "followers", "engagement", "tags")


def answer(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value, default=str), status, media_type="application/json")


async def get(request: Request) -> Response:
    row = await request.app.state.pool.fetchrow(ONE, request.path_params["id"])
    return answer(dict(row)) if row else answer({"detail": "not found"}, 404)


async def search(request: Request) -> Response:
    asked = request.query_params
    rows = await request.app.state.pool.fetch(
        PAGE, int(asked["partner"]), asked["platform"], int(asked["followers_gte"]),
        int(asked.get("limit", 20)), int(asked.get("offset", 0)),
    )  # fmt: skip
    return answer({"items": [dict(row) for row in rows]})


async def patch(request: Request) -> Response:
    changes = orjson.loads(await request.body())
    names = [name for name in EDITABLE if name in changes]
    sets = ", ".join(f"{name} = ${at + 2}" for at, name in enumerate(names))
    sql = f"UPDATE bench.item SET {sets}, version = version + 1, updated_at = now() WHERE id = $1 RETURNING {COLUMNS}"
    values = [changes[name] for name in names]
    row = await request.app.state.pool.fetchrow(sql, request.path_params["id"], *values)
    return answer(dict(row)) if row else answer({"detail": "not found"}, 404)


async def create(request: Request) -> Response:
    new = orjson.loads(await request.body())
    values = [new[name] for name in ("partner", *EDITABLE)]
    return answer(dict(await request.app.state.pool.fetchrow(NEW, *values)), 201)


async def codecs(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb", encoder=lambda value: orjson.dumps(value).decode(), decoder=orjson.loads, schema="pg_catalog"
    )


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["BENCH_URL"], min_size=10, max_size=10, init=codecs) as app.state.pool:
        yield


app = Starlette(
    routes=[
        Route("/items/{id:int}", get),
        Route("/items/{id:int}", patch, methods=["PATCH"]),
        Route("/items", search),
        Route("/items", create, methods=["POST"]),
    ],
    lifespan=lifespan,
)
