"""The house keeps its shape: small rooms, every door labelled, nothing running while one only looks in."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = sorted(
    path for top in ("coffee_core", "modules", "gateway", "examples") for path in (ROOT / top).rglob("*.py")
)  # fmt: skip
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(("files", "most"), [(PRODUCT, 400), (TESTS, 600)], ids=["product", "tests"])
def test_no_file_is_longer_than_one_subject_needs(files: list[Path], most: int) -> None:
    long = {name(path): lines for path in files if (lines := len(path.read_text().splitlines())) > most}
    assert long == {}


def test_every_product_file_says_what_it_is() -> None:
    silent = [
        name(path)
        for path in PRODUCT
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert [path for path in silent if not path.endswith("migrations/__init__.py")] == []


def test_who_asks_for_a_server_of_the_session_runs_on_its_loop() -> None:
    """A test that is no coroutine ends the session's loop, and with it the servers that others have started."""
    conftest = ast.parse((ROOT / "tests" / "conftest.py").read_text())
    servers = {node.name for node in ast.walk(conftest) if isinstance(node, ast.AsyncFunctionDef)}
    assert "database_url" in servers
    found = [
        f"{name(path)}: {node.name}"
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        if servers & {argument.arg for argument in node.args.args}
        if "parametrize" not in ast.dump(ast.Module(node.decorator_list, []))  # type: ignore[arg-type]  # expressions
    ]
    assert found == []


def test_every_module_has_a_readme_and_its_usual_files() -> None:
    for folder in sorted(path for path in (ROOT / "modules").iterdir() if (path / "__init__.py").exists()):
        there = {path.name for path in folder.iterdir()}
        assert {"README.md", "module.py", "entry.py", "entity.py"} <= there, folder.name


def test_importing_anything_opens_no_socket_and_starts_no_thread() -> None:
    modules = [name(path)[:-3].replace("/", ".").removesuffix(".__init__") for path in PRODUCT]
    modules = [module for module in modules if ".migrations." not in module]
    program = (
        "import socket, sys, threading, importlib\n"
        "def refuse(*a, **k): raise RuntimeError('a socket was opened while importing')\n"
        "socket.socket.connect = refuse; socket.socket.bind = refuse\n"
        f"for module in {modules!r}:\n"
        "    importlib.import_module(module)\n"
        "    assert threading.active_count() == 1, module\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
