"""`coffee check` on a module as an author has it: silent about a new one, plain about one with mistakes."""

from __future__ import annotations

import os
from pathlib import Path
from subprocess import CompletedProcess

import orjson
import pytest

from coffee_core.cli.new_module.names import names_for
from coffee_core.cli.new_module.writing import write_module
from tests.coffee_core.cli.test_new_module import install
from tests.support.authors_python import run_module


class Author:
    """A module, installed beside the framework."""

    def __init__(self, folder: Path) -> None:
        self.site = folder / "site"
        self.site.mkdir()
        self.module = write_module(names_for("field_notes", "note"), folder)
        install(self.module, self.site)

    def run(self, *arguments: str, **variables: str) -> CompletedProcess[str]:
        path = os.pathsep.join(filter(None, [str(self.site), os.environ.get("PYTHONPATH")]))
        return run_module(
            "coffee_core.cli.main",
            *arguments,
            "--module",
            "field_notes",
            folder=self.site,
            PYTHONPATH=path,
            **variables,
        )

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.module / "field_notes" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return Author(tmp_path)


def test_a_new_module_has_nothing_to_change_and_a_spoiled_one_is_told_what(author: Author) -> None:
    saved = author.site / "api.json"
    assert author.run("openapi", "--output", str(saved)).returncode == 0
    fine = author.run("check", "--against", str(saved))
    assert (fine.returncode, fine.stdout) == (0, "nothing to change\n"), fine.stdout + fine.stderr

    author.edit("module.py", "plan=Plan.FREE, ", "")
    author.edit("migrations/0001_note.py", '["partner_id", "title", "id"]', '["partner_id", "text", "title"]')
    author.edit("entity.py", "    text:", "    stars: Mapped[int]\n    text:")
    author.edit("entry.py", "    text:", "    stars: int\n    text:")
    spoiled = author.run("check", "--against", str(saved))
    assert spoiled.returncode == 1
    for sentence in (
        "POST /field-notes-service/api/note takes: the field 'stars' is required now: give it a default",
        "GET /field-notes-service/api/note/{id} (note_get) has no plan: write plan=Plan.FREE or more",
        "field_notes.note has no column stars, which NoteEntity maps: write a migration that adds it",
        "NoteEntry.title is Filterable() and no index of field_notes.note serves it: add CREATE INDEX ON",
    ):
        assert sentence in spoiled.stdout, spoiled.stdout + spoiled.stderr


def test_a_module_that_stores_rows_and_has_no_migrations_is_named(author: Author) -> None:
    author.edit("module.py", 'migrations = "field_notes.migrations"', "migrations: str | None = None")
    found = author.run("check", "--no-tables")
    assert (found.returncode, "field_notes stores field_notes.note and has no migrations" in found.stdout) == (1, True)


def test_what_is_no_description_is_refused_in_a_sentence(author: Author) -> None:
    other = author.site / "other.json"
    other.write_bytes(orjson.dumps([1]))
    for path in (other, author.site / "missing.json"):
        found = author.run("check", "--no-tables", "--against", str(path))
        assert (found.returncode, found.stderr.startswith("coffee: ")) == (1, True)


def test_the_platforms_own_modules_have_nothing_to_change(tmp_path: Path) -> None:
    found = run_module("coffee_core.cli.main", "check", folder=tmp_path)
    assert (found.returncode, found.stdout) == (0, "nothing to change\n"), found.stdout + found.stderr
