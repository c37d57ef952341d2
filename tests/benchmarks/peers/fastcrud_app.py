"""FastAPI with FastCRUD; without the count that FastCRUD's own endpoints add to each page."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastcrud import FastCRUD
from pydantic import BaseModel
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
crud = FastCRUD(Item)
NAMES = list(ItemOut.model_fields)


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as made:
        yield made


Session = Annotated[AsyncSession, Depends(session)]


@app.get("/items/{id}", response_model=ItemOut)
async def get(id: int, session: Session) -> object:
    item = await crud.get(session, schema_to_select=ItemOut, id=id)
    if item is None:
        raise HTTPException(404)
    return item


@app.get("/items", response_model=PageOut)
async def search(
    session: Session, partner: int, platform: str, followers_gte: int, limit: int = 20, offset: int = 0
) -> object:
    found = await crud.get_multi(
        session, offset=offset, limit=limit, schema_to_select=ItemOut, return_total_count=False,
        sort_columns=["followers", "id"], sort_orders=["desc", "desc"],
        partner_id=partner, platform=platform, followers__gte=followers_gte,
    )  # fmt: skip
    return {"items": found["data"]}


class Stored(BaseModel):
    """What is written: FastCRUD takes a model by the columns' names."""

    partner_id: int
    owner: object
    name: str
    platform: str
    followers: int
    engagement: float
    tags: list[str]


@app.post("/items", status_code=201, response_model=ItemOut)
async def create(given: ItemIn, session: Session) -> object:
    values = given.model_dump()
    stored = Stored(partner_id=values.pop("partner"), **values)
    return await crud.create(session, stored, schema_to_select=ItemOut)


@app.patch("/items/{id}", response_model=ItemOut)
async def patch(id: int, given: ItemChange, session: Session) -> object:
    changes = given.model_dump(exclude_unset=True)
    return await crud.update(session, {**changes, "version": Item.version + 1}, return_columns=NAMES, id=id)
