"""`Generic[Entry, Entity, ID]` catches the mistakes that it promises to catch, in both type checkers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def run(checker: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", checker, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def mypy(file: Path) -> tuple[set[int], str]:
    done = run("mypy", "--strict", str(file))
    lines = re.findall(rf"^{re.escape(str(file.relative_to(ROOT)))}:(\d+): error", done.stdout, re.MULTILINE)
    return {int(line) for line in lines}, done.stdout + done.stderr


def pyright(file: Path) -> tuple[set[int], str]:
    done = run("pyright", "--outputjson", "--pythonpath", sys.executable, str(file))
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {one["range"]["start"]["line"] + 1 for one in found if one["severity"] == "error"}, done.stdout


CHECKERS = [pytest.param(mypy, id="mypy"), pytest.param(pyright, id="pyright")]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("check", CHECKERS)
def test_every_promised_mistake_is_refused_at_its_line(check) -> None:
    file = HERE / "wrong.py"
    marked = {at for at, line in enumerate(file.read_text().splitlines(), 1) if "# refused" in line}
    assert len(marked) >= 15
    found, output = check(file)
    assert found == marked, output


@pytest.mark.timeout(300)
@pytest.mark.parametrize("check", CHECKERS)
def test_the_types_are_inferred_through_every_layer(check) -> None:
    found, output = check(HERE / "right.py")
    assert found == set(), output
