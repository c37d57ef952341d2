"""`coffee new-module`: what it writes works as it is, and it never writes over anything."""

from __future__ import annotations

import asyncio
import os
import tomllib
from pathlib import Path

import pytest

from coffee_core.cli.main import main
from coffee_core.cli.new_module.names import names_for
from coffee_core.cli.new_module.writing import rendered, write_module
from coffee_core.domain.errors import CoffeeError
from tests.support.authors_python import run_module


def install(module: Path, site: Path) -> None:
    """What an editable installation leaves: the package on the path, and its metadata."""
    project = tomllib.loads((module / "pyproject.toml").read_text())["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    (site / module.name).symlink_to(module / module.name)


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("authors")
    with pytest.raises(SystemExit) as ended:
        main(["new-module", "field_notes", "--resource", "note", "--into", str(into)])
    assert ended.value.code == 0
    return into / "field_notes"


def test_the_tests_of_a_new_module_pass_on_an_embedded_postgresql(notes: Path) -> None:
    done = run_module("pytest", "-q", str(notes), folder=notes.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout


async def test_and_on_a_server_that_the_environment_names(notes: Path, database_url: str) -> None:
    done = await asyncio.to_thread(run_module, "pytest", "-q", folder=notes, COFFEE_TEST_DATABASE_URL=database_url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout


def test_and_on_the_memory_store(notes: Path) -> None:
    done = run_module("pytest", "-q", "--coffee-store=memory", folder=notes)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout


def test_and_they_fail_when_the_module_breaks(notes: Path, tmp_path: Path) -> None:
    broken = write_module(names_for("field_notes", "note"), tmp_path)
    entry = broken / "field_notes" / "entry.py"
    entry.write_text(entry.read_text().replace("max_length=200", "max_length=300"))
    done = run_module("pytest", "-q", "--coffee-store=memory", folder=broken)
    assert done.returncode == 1
    assert "test_a_title_that_is_too_long_is_refused_and_named" in done.stdout


def test_tests_that_do_not_say_what_is_tested_are_told_to(notes: Path, tmp_path: Path) -> None:
    silent = write_module(names_for("field_notes", "note"), tmp_path)
    (silent / "tests" / "conftest.py").write_text('pytest_plugins = ["coffee_core.testing.plugin"]\n')
    done = run_module("pytest", "-q", "--coffee-store=memory", folder=silent)
    assert done.returncode == 1
    assert "override the fixture coffee_modules" in done.stdout


def test_an_installed_module_is_found_without_a_line_changed_elsewhere(notes: Path, tmp_path: Path) -> None:
    install(notes, tmp_path)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = run_module("coffee_core.cli.main", "routes", "--module", "field_notes", folder=tmp_path, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert "/field-notes-service/api/note/search" in done.stdout


def test_what_is_written_is_in_good_style(notes: Path) -> None:
    for command in (("check", "--extend-select", "I,UP,B,D100"), ("format", "--check")):
        done = run_module("ruff", *command, str(notes), folder=notes)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Notes", "lower-case"),
        ("field-notes", "lower-case"),
        ("../notes", "lower-case"),
        ("_notes", "lower-case"),
        ("nötes", "lower-case"),
        ("", "lower-case"),
        ("n" * 41, "40 characters"),
        ("class", "word of Python"),
        ("match", "word of Python"),
        ("pg_notes", "PostgreSQL"),
        ("coffee", "taken"),
        ("identity", "there is a module identity"),
        ("json", "package json"),
        ("pydantic", "package pydantic"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_with_the_reason(
    name: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["new-module", name, "--into", str(tmp_path)])
    assert ended.value.code == 1
    assert why in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_resource_that_another_module_has_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["new-module", "field_notes", "--resource", "collection", "--into", str(tmp_path)])
    assert ended.value.code == 1
    assert "profile-collection-service has a resource collection already" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_is_there_already_is_left_alone(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = tmp_path / "field_notes"
    if kind == "folder":
        there.mkdir()
    elif kind == "file":
        there.write_text("mine")
    else:
        there.symlink_to(tmp_path / "nowhere")
    with pytest.raises(SystemExit):
        main(["new-module", "field_notes", "--into", str(tmp_path)])
    assert "is there already" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [there]
    assert kind != "file" or there.read_text() == "mine"


def test_a_module_that_cannot_be_written_whole_is_not_written_at_all(tmp_path: Path) -> None:
    names = names_for("field_notes")._replace(resource="n" * 300)  # longer than a file name may be
    with pytest.raises(CoffeeError, match="cannot be written"):
        write_module(names, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "resource"), [("note", None), ("a1_b2", "c3_d4"), ("entity", "entry")])
def test_every_name_gives_files_that_are_python(name: str, resource: str | None) -> None:
    for path, text in rendered(names_for(name, resource)):
        if path.endswith(".py"):
            compile(text, path, "exec")
        assert "__name__" not in path
