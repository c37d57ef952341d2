"""The item's table and models, as peers that use SQLAlchemy's ORM have them."""

from __future__ import annotations

import os
from datetime import datetime
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict
from sqlalchemy import BigInteger, DateTime, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import Mapped, mapped_column

CHANGED = {"eager_defaults": True}
"""Of the mapper: what the database fills in comes back with RETURNING, not with a second question."""


class Columns:
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    partner_id: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(BigInteger, server_default="1")
    owner: Mapped[UUID]
    name: Mapped[str]
    platform: Mapped[str]
    followers: Mapped[int] = mapped_column(BigInteger)
    engagement: Mapped[float]
    tags: Mapped[list[str]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now()
    )


class ItemIn(BaseModel):
    partner: int
    owner: UUID
    name: str
    platform: str
    followers: int
    engagement: float
    tags: list[str] = []


class ItemChange(BaseModel):
    owner: UUID | None = None
    name: str | None = None
    platform: str | None = None
    followers: int | None = None
    engagement: float | None = None
    tags: list[str] | None = None


class ItemOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

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


class PageOut(BaseModel):
    items: list[ItemOut]


def engine() -> AsyncEngine:
    """Ten connections, as every peer has, and the fastest JSON that SQLAlchemy takes."""
    return create_async_engine(
        os.environ["BENCH_URL"].replace("postgresql://", "postgresql+asyncpg://"),
        pool_size=10,
        max_overflow=0,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
    )
