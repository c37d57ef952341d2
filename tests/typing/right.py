"""Never run: what the type checkers must infer. Checked by tests/typing/test_generics.py."""

from typing import assert_type

from coffee_core.client.answers import Found
from coffee_core.client.module_client import ModuleClient
from coffee_core.domain.envelope import EnvelopeModel
from coffee_core.domain.search import Condition, path
from coffee_core.rest.api import Api
from coffee_core.rest.container import Container, Module, Mounted
from coffee_core.rest.dao import Dao
from coffee_core.rest.manager import Manager
from coffee_core.rest.page import Envelope
from coffee_core.rest.patch import Patch
from coffee_core.rest.related import Counted, One
from coffee_core.rest.service import Service
from tests.coffee_core.rest.sample import BookEntity, BookEntry


async def infer(container: Container) -> None:
    dao = container.dao(BookEntry, BookEntity, BookEntity.id)
    assert_type(dao, Dao[BookEntity, int])
    manager = Manager(BookEntry, dao)
    assert_type(manager, Manager[BookEntry, BookEntity, int])
    service = Service(manager)
    assert_type(service, Service[BookEntry, BookEntity, int])
    assert_type(Api(service, int, "book"), Api[BookEntry, BookEntity, int])
    assert_type(await service.get(1), Envelope[BookEntry])
    assert_type((await service.get(1)).entries()[0].title, str)
    assert_type(dao.entities(await dao.get(1))[0].pages, int | None)
    assert_type(One(manager, of=BookEntity.created_by), One[BookEntry, BookEntity, int])
    assert_type(Counted(dao, of=BookEntity.id, by=BookEntity.pages), Counted[BookEntity])
    assert_type(path(BookEntity.title).eq("Emma"), Condition)


async def call(books: ModuleClient[BookEntry, int]) -> None:
    found = await books.get(1)
    assert_type(found, Found[BookEntry])
    assert_type(found.entry.title, str)
    assert_type(await books.create(BookEntry(title="x"), idempotency_key="k"), Found[BookEntry])
    assert_type(await books.search(path(BookEntity.pages).gte(3)), EnvelopeModel[BookEntry])
    assert_type([book.pages async for book in books.every()], list[int | None])
    assert_type([book async for book in books.export(fields=["title"])], list[BookEntry])
    await books.bulk(update={1: Patch(BookEntry, {"pages": 2})}, delete=[2])


class WholeModule:
    name = "shelf"
    service = "shelf-service"
    migrations = None

    def mount(self, container: Container) -> Mounted:
        return Mounted(routes=[])


WHOLE: Module = WholeModule()
