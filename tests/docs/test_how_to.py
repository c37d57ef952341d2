"""The pages of docs/how-to run from top to bottom, as one program with `await`."""

from __future__ import annotations

import ast
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import CodeType
from typing import Annotated

import httpx2
import pytest
from sqlalchemy.orm import Mapped

from coffee_core.domain.entity import Entity, Identified, Tenanted, Versioned
from coffee_core.domain.entry import Entry, ReadOnly
from coffee_core.domain.plan import Gated, Plan
from coffee_core.http.application import Application
from coffee_core.http.settings import HttpSettings
from coffee_core.rest.container import Container
from coffee_core.stores.memory.store import MemoryStore
from tests.coffee_core.rest.sample import KeptEvents

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def program(page: str) -> CodeType:
    """Every block of the page in its order, with line numbers that count from the first."""
    source = "\n".join(PYTHON.findall((HOW_TO / page).read_text()))
    return compile(source, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


async def run(page: str, **given: object) -> dict[str, object]:
    """What the page's program has defined."""
    names: dict[str, object] = {"__name__": "how_to", **given}
    running = eval(program(page), names)  # the page's own code
    if running is not None:
        await running
    return names


async def test_resilience(redis_url: str) -> None:
    await run("resilience.md", redis_url=redis_url)


async def test_cache(redis_url: str) -> None:
    await run("cache.md", redis_url=redis_url)


class HowToNoteEntry(Entry):
    """The page's NoteEntry, on the other side."""

    id: Annotated[int | None, ReadOnly()] = None
    title: str
    stars: int = 0
    price: Annotated[int | None, Gated(Plan.SAAS)] = None


class HowToNote(Identified, Tenanted, Versioned, Entity):
    __tablename__ = "how_to_note"
    title: Mapped[str]
    stars: Mapped[int]
    price: Mapped[int | None]


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody on the plan PAID, before the service that the page talks of."""
    container = Container(store=MemoryStore(), events=KeptEvents())
    manager = container.manager(HowToNoteEntry, HowToNote, HowToNote.id)
    routes = container.api(manager, int, "note").routes()
    application = Application({"notes-service": routes}, settings=HttpSettings(access_log="off"))
    await application.start()
    caller = {"x-bb-partner-id": "7", "x-bb-account-id": "1", "x-bb-uid": "1", "x-bb-plan-type": "PAID"}
    transport = httpx2.ASGITransport(application.asgi())
    async with httpx2.AsyncClient(transport=transport, base_url="http://notes.test", headers=caller) as client:
        yield client
    await application.stop()


async def test_call_a_module(http: httpx2.AsyncClient) -> None:
    await run("call-a-module.md", http=http)
