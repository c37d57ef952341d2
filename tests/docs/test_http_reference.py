"""The reference page lists what the code has."""

from __future__ import annotations

import re
from pathlib import Path

from coffee_core.http.problems import FAULT, KINDS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "http.md"


def test_every_problem_type_is_on_the_reference_page_with_its_status() -> None:
    listed = re.findall(r"^\| (\d{3}) \| `([^`]+)` \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    kinds = [*KINDS.values(), FAULT]
    assert sorted(listed) == sorted((str(kind.status), kind.uri, kind.title) for kind in kinds)
