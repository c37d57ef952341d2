"""The tutorial, followed to the letter: its commands, its files in their order, and its tests."""

from __future__ import annotations

import ast
import asyncio
import os
import re
from pathlib import Path

import pytest

from coffee_core.cli.main import main
from tests.coffee_core.cli.test_new_module import install
from tests.support.authors_python import run_module

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial"
PAGES = [TUTORIAL / "README.md", *sorted(TUTORIAL.glob("[0-9]-*.md"))]
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# ((?:notes|tests)/[a-z0-9_/]+\.py)\n")


def follow(into: Path) -> Path:
    """What a reader has after the last page."""
    (command,) = re.findall(r"^coffee (new-module .*)$", PAGES[0].read_text(), re.MULTILINE)
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--into", str(into)])
    assert ended.value.code == 0
    for source in (block for page in PAGES for block in PYTHON.findall(page.read_text())):
        named = NAMED.match(source)
        assert named is not None, f"a block does not say which file it is: {source[:60]!r}"
        (into / "notes" / named[1]).write_text(source[named.end() :])
    return into / "notes"


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return follow(tmp_path_factory.mktemp("reader"))


async def test_what_the_reader_has_written_passes_its_tests(notes: Path, database_url: str) -> None:
    done = await asyncio.to_thread(
        run_module, "pytest", "-q", "notes", folder=notes.parent, COFFEE_TEST_DATABASE_URL=database_url
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "11 passed" in done.stdout


def test_each_rule_is_held_by_a_test(notes: Path, tmp_path: Path) -> None:
    """Without its Manager and its gate the module is told so by the tests of the third page."""
    broken = follow(tmp_path)
    module, entry = broken / "notes" / "module.py", broken / "notes" / "entry.py"
    module.write_text(
        module.read_text()
        .replace("NoteManager(", "Manager(")
        .replace("notes.manager", "coffee_core.rest.manager")
        .replace("import NoteManager", "import Manager")
    )
    entry.write_text(entry.read_text().replace(", Gated(Plan.SAAS)", ""))
    done = run_module("pytest", "-q", "--coffee-store=memory", "--tb=no", "-rf", folder=broken)
    failed = set(re.findall(r"^FAILED tests/test_rules\.py::(\w+)", done.stdout, re.MULTILINE))
    assert failed == {
        "test_a_note_with_five_stars_is_not_deleted",
        "test_a_price_is_shown_from_the_plan_saas_on",
        "test_a_price_that_is_hidden_cannot_be_searched_for",
        "test_a_new_note_is_announced",
    }, done.stdout + done.stderr


@pytest.mark.slow  # mypy reads the framework too
def test_what_the_reader_has_written_is_typed_and_in_good_style(notes: Path) -> None:
    for command in (
        ["ruff", "check", "--extend-select", "I,UP,B,D100", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
    ):
        done = run_module(*command, folder=notes)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow  # it migrates a PostgreSQL of its own
def test_what_the_reader_has_written_could_be_released(notes: Path, tmp_path: Path) -> None:
    install(notes, tmp_path)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = run_module("coffee_core.cli.main", "check", "--module", "notes", folder=tmp_path, PYTHONPATH=path)
    assert (done.returncode, done.stdout) == (0, "nothing to change\n"), done.stdout + done.stderr


def test_forty_lines_are_forty_lines(notes: Path) -> None:
    """Entry, Entity, event, rules and wiring, without imports, docstrings and blank lines."""
    files = ("entry", "entity", "events", "manager", "module")
    assert sum(lines_of(notes / "notes" / f"{name}.py") for name in files) <= 40


def lines_of(file: Path) -> int:
    tree = ast.parse(file.read_text())
    left_out: set[int] = set()
    for node in ast.walk(tree):
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if text or isinstance(node, ast.Import | ast.ImportFrom):
            left_out.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = file.read_text().splitlines()
    return sum(1 for number, line in enumerate(lines, 1) if line.strip() and number not in left_out)
