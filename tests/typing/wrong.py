"""Never run: each line marked `refused` must be an error in mypy and in pyright, and no other line may be."""

from collections.abc import Sequence

import httpx2
from sqlalchemy.orm import Mapped, mapped_column

from coffee_core.client.answers import Found
from coffee_core.client.module_client import ModuleClient
from coffee_core.domain.entity import Entity
from coffee_core.domain.entry import Entry
from coffee_core.domain.ids import EntityT
from coffee_core.domain.search import path
from coffee_core.rest.api import Api
from coffee_core.rest.container import Container, Module, Mounted
from coffee_core.rest.dao import Dao
from coffee_core.rest.dao_provider import DaoProvider
from coffee_core.rest.manager import Manager
from coffee_core.rest.patch import Patch
from coffee_core.rest.related import Counted, One
from coffee_core.rest.service import Service
from tests.coffee_core.rest.sample import BookEntity, BookEntry


class ShopEntry(Entry):
    name: str


class ShopEntity(Entity):
    __tablename__ = "shop"
    code: Mapped[str] = mapped_column(primary_key=True)


class ShopManager(Manager[ShopEntry, ShopEntity, str]):
    def to_entry(self, entity: BookEntity) -> ShopEntry:  # refused: the Entity of another module
        return ShopEntry(name=entity.title)


class BookManager(Manager[BookEntry, BookEntity, int]):
    async def on_update(self, id: str, patch: Patch[BookEntry]) -> None:  # refused: an id of another type
        """Rules."""

    def to_entry(self, entity: BookEntity) -> BookEntry:
        entry = super().to_entry(entity)
        entry.title = entity.pages  # refused: a number is no title
        return entry

    def to_entity(self, entry: BookEntry) -> ShopEntity:  # refused: the Entity of another module
        return ShopEntity()

    async def enrich(self, entries: Sequence[ShopEntry]) -> None:  # refused: the Entries of another module
        """Nothing."""


async def use(
    container: Container,
    books: Service[BookEntry, BookEntity, int],
    shop_provider: DaoProvider[ShopEntity, str],
    shop_dao: Dao[ShopEntity, str],
    book_dao: Dao[BookEntity, int],
) -> None:
    await books.get("7")  # refused: the id is a number
    await books.create(ShopEntry(name="x"))  # refused: the Entry of another module
    await books.patch(1, Patch(ShopEntry, {}), None)  # refused: a patch of another Entry
    Dao(BookEntity, BookEntity.id, shop_provider)  # refused: the provider of another Entity
    wrong_key: Dao[BookEntity, int] = Dao(BookEntity, BookEntity.title, container.store.provider(BookEntity, BookEntity.title))  # refused: the id column is text  # fmt: skip  # noqa: E501
    Manager[BookEntry, BookEntity, int](BookEntry, shop_dao)  # refused: the Dao of another Entity
    Manager(BookEntity, book_dao)  # refused: an Entity is no Entry
    Service[ShopEntry, ShopEntity, str](BookManager(BookEntry, book_dao))  # refused: a Manager of another module
    Api(books, str, "book")  # refused: the id is a number
    Counted(book_dao, of=ShopEntity.code, by=BookEntity.pages)  # refused: a number points at no text
    One(BookManager(BookEntry, book_dao), of=ShopEntity.code)  # refused: a text is no book's id
    path(BookEntity.pages).gte("1000")  # refused: pages are compared with a number
    path(BookEntity.colour)  # refused: there is no such field
    (await books.get(1)).entries()[0].colour  # refused: there is no such field
    print(wrong_key)


async def call(books: ModuleClient[BookEntry, int], found: Found[ShopEntry], http: httpx2.AsyncClient) -> None:
    await books.get("7")  # refused: the id is a number
    await books.create(ShopEntry(name="x"))  # refused: the Entry of another module
    await books.get(7, known=found)  # refused: a record of another module
    await books.patch(7, Patch(ShopEntry, {}))  # refused: a patch of another Entry
    await books.bulk(upsert=[ShopEntry(name="x")])  # refused: the Entry of another module
    await books.bulk(update={"7": Patch(BookEntry, {})})  # refused: the id is a number
    (await books.get(7)).entry.colour  # refused: there is no such field
    async for book in books.every():
        book.colour  # refused: there is no such field
    ModuleClient[BookEntry, int](ShopEntry, int, http, "s", "book")  # refused: the Entry of another module
    ModuleClient[BookEntry, int](BookEntry, str, http, "s", "book")  # refused: the id is a number


class ForgetfulModule:
    name = "forgetful"
    service = "forgetful-service"
    migrations = None


class MistakenModule:
    name = "mistaken"
    service = "mistaken-service"
    migrations = None

    def mount(self, container: Container) -> list[Mounted]:
        return []


FORGETFUL: Module = ForgetfulModule()  # refused: a method is missing
MISTAKEN: Module = MistakenModule()  # refused: mount gives something else


def bounds(entity: type[EntityT]) -> EntityT:
    return entity()


bounds(BookEntry)  # refused: an Entry is no Entity
