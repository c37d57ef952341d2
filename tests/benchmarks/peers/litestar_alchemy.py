"""Litestar with Advanced Alchemy's repository service, msgspec schemas and a session that commits by itself."""

from datetime import datetime
from uuid import UUID

import msgspec
from advanced_alchemy.base import CommonTableAttributes
from advanced_alchemy.extensions.litestar import (
    AsyncSessionConfig,
    SQLAlchemyAsyncConfig,
    SQLAlchemyPlugin,
    filters,
    repository,
    service,
)
from litestar import Litestar, get, patch, post
from litestar.di import Provide
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase

from tests.benchmarks.peers.orm import CHANGED, Columns, engine


class Base(CommonTableAttributes, DeclarativeBase):
    pass


class Item(Columns, Base):
    __tablename__ = "item"
    __table_args__ = {"schema": "bench"}
    __mapper_args__ = CHANGED


class Out(msgspec.Struct):
    id: int
    partner_id: int
    version: int
    owner: UUID
    name: str
    platform: str
    followers: int
    engagement: float
    tags: list[str]
    created_at: datetime
    updated_at: datetime


class New(msgspec.Struct):
    partner: int
    owner: UUID
    name: str
    platform: str
    followers: int
    engagement: float
    tags: list[str] = []


class Change(msgspec.Struct, omit_defaults=True):
    followers: int | msgspec.UnsetType = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET
    platform: str | msgspec.UnsetType = msgspec.UNSET
    engagement: float | msgspec.UnsetType = msgspec.UNSET
    tags: list[str] | msgspec.UnsetType = msgspec.UNSET


class PageOut(msgspec.Struct):
    items: list[Out]


class Repository(repository.SQLAlchemyAsyncRepository[Item]):
    model_type = Item


class Items(service.SQLAlchemyAsyncRepositoryService[Item]):
    repository_type = Repository


async def items(db_session: AsyncSession) -> Items:
    return Items(session=db_session)


@get("/items/{id:int}")
async def get_item(items: Items, id: int) -> Out:
    return items.to_schema(await items.get(id), schema_type=Out)


@get("/items")
async def search(
    items: Items, partner: int, platform: str, followers_gte: int, limit: int = 20, offset: int = 0
) -> PageOut:
    rows = await items.list(
        Item.partner_id == partner, Item.platform == platform, Item.followers >= followers_gte,
        filters.LimitOffset(limit, offset), order_by=[(Item.followers, True), (Item.id, True)],
    )  # fmt: skip
    return PageOut([items.to_schema(row, schema_type=Out) for row in rows])


@post("/items")
async def create(items: Items, data: New) -> Out:
    values = msgspec.structs.asdict(data)
    values["partner_id"] = values.pop("partner")
    return items.to_schema(await items.create(values), schema_type=Out)


@patch("/items/{id:int}")
async def update(items: Items, id: int, data: Change) -> Out:
    changes = msgspec.to_builtins(data)
    item = await items.get(id)
    return items.to_schema(await items.update({**changes, "version": item.version + 1}, item_id=id), schema_type=Out)


config = SQLAlchemyAsyncConfig(
    engine_instance=engine(),
    before_send_handler="autocommit",
    session_config=AsyncSessionConfig(expire_on_commit=False),
)
app = Litestar(
    [get_item, search, create, update],
    plugins=[SQLAlchemyPlugin(config=config)],
    dependencies={"items": Provide(items)},
    openapi_config=None,
)
