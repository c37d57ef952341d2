"""What a reader can copy runs, and what he can click is there."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from coffee_core.domain.context import RequestContext
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.container import Container
from coffee_core.stores.memory.store import MemoryStore
from coffee_core.wire.message import BufferedBody, Request
from tests.coffee_core.rest.sample import KeptEvents

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "modules").rglob("README.md"))]
LINK = re.compile(r"\[[^\]]+\]\(([^)#:]+)(?:#[^)]*)?\)")
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    broken = [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()]
    assert broken == []


def test_the_map_names_folders_that_are_there() -> None:
    named = re.findall(r"^\| `([a-z_]+)/` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(named) >= 6
    assert [name for name in named if not (ROOT / name).is_dir()] == []


async def test_the_readmes_module_serves_what_the_readme_says(tmp_path: Path) -> None:
    source = PYTHON.findall((ROOT / "README.md").read_text())[0]
    assert len([line for line in source.splitlines() if line.strip() and "import" not in line]) <= 20
    (tmp_path / "readme_notes.py").write_text(source)
    spec = importlib.util.spec_from_file_location("readme_notes", tmp_path / "readme_notes.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules["readme_notes"] = notes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(notes)
    module = notes.NotesModule()
    mounted = module.mount(Container(store=MemoryStore(), events=KeptEvents()))
    routes = {(route.method, route.path): route for route in mounted.routes}

    async def call(method: str, path: str, body: object = None, partner: int = 1, **path_params: str) -> object:
        data = b"" if body is None else json.dumps(body).encode()
        request = Request(method, path, b"", {}, BufferedBody(data))
        request.path_params = path_params
        async with acting_as(RequestContext(request_id="r", partner_id=partner)):
            return json.loads((await routes[method, path].handler(request)).body)

    made = await call("POST", "/api/note", {"title": "Buy beans", "stars": 5})
    assert made["data"] == [{"id": 1, "title": "Buy beans", "stars": 5}]  # type: ignore[index]  # JSON
    found = await call("POST", "/api/note/search", {"filters": [{"filterType": "GTE", "field": "stars", "value": 4}]})
    assert found["totalCount"] == 1  # type: ignore[index]  # JSON
    assert (await call("POST", "/api/note/search", {}, partner=2))["data"] == []  # type: ignore[index]  # JSON
