"""FastAPI, SQLAlchemy's async ORM, pydantic models in and out: what most teams write."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase

from tests.benchmarks.peers.orm import CHANGED, Columns, ItemChange, ItemIn, ItemOut, PageOut, engine


class Base(DeclarativeBase):
    pass


class Item(Columns, Base):
    __tablename__ = "item"
    __table_args__ = {"schema": "bench"}
    __mapper_args__ = CHANGED


sessions = async_sessionmaker(engine(), expire_on_commit=False)
app = FastAPI()


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as made:
        yield made


Session = Annotated[AsyncSession, Depends(session)]


@app.get("/items/{id}", response_model=ItemOut)
async def get(id: int, session: Session) -> Item:
    item = await session.get(Item, id)
    if item is None:
        raise HTTPException(404)
    return item


@app.get("/items", response_model=PageOut)
async def search(
    session: Session, partner: int, platform: str, followers_gte: int, limit: int = 20, offset: int = 0
) -> object:
    wanted = select(Item).where(Item.partner_id == partner, Item.platform == platform, Item.followers >= followers_gte)
    wanted = wanted.order_by(Item.followers.desc(), Item.id.desc()).limit(limit).offset(offset)
    return {"items": (await session.scalars(wanted)).all()}


@app.post("/items", status_code=201, response_model=ItemOut)
async def create(given: ItemIn, session: Session) -> Item:
    values = given.model_dump()
    item = Item(partner_id=values.pop("partner"), **values)
    session.add(item)
    await session.commit()
    return item


@app.patch("/items/{id}", response_model=ItemOut)
async def patch(id: int, given: ItemChange, session: Session) -> Item:
    item = await session.get(Item, id)
    if item is None:
        raise HTTPException(404)
    for name, value in given.model_dump(exclude_unset=True).items():
        setattr(item, name, value)
    item.version += 1
    await session.commit()
    return item
