"""Each act is noted before it is done, and how it ended; what cannot be noted is not done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from coffee_core.domain.errors import UnavailableError
from gateway.operator.app import make_app
from gateway.operator.audit import AuditLog

WHO = {"uid": "1", "account": "1", "peer": "127.0.0.1", "requestId": "r"}


async def test_an_act_has_a_line_before_and_a_line_after(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "audit.jsonl")
    seen: list[str] = []

    async def work() -> tuple[int, bytes]:
        seen.extend(json.loads(line)["outcome"] for line in audit.path.read_text().splitlines())
        return 404, b"{}"

    assert await audit.act(WHO, "session.end", "abc\n{forged", work) == (404, b"{}")
    assert seen == ["begun"]
    lines = [json.loads(line) for line in audit.path.read_text().splitlines()]
    assert [line["outcome"] for line in lines] == ["begun", "refused: 404"]
    assert lines[0]["target"] == "abc\n{forged"
    assert (audit.path.stat().st_mode & 0o777) == 0o600
    (shown,) = audit.latest()
    assert (shown["outcome"], shown["time"], shown["uid"]) == ("refused: 404", lines[0]["time"], "1")


async def test_an_act_whose_end_is_not_known_says_so(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "audit.jsonl")

    async def work() -> tuple[int, bytes]:
        raise UnavailableError("identity does not answer")

    with pytest.raises(UnavailableError):
        await audit.act(WHO, "session.end", "abc", work)
    assert audit.latest()[0]["outcome"] == "unknown"


async def test_what_cannot_be_noted_is_not_done(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "nowhere" / "audit.jsonl")
    done: list[int] = []

    async def work() -> tuple[int, bytes]:
        done.append(1)
        return 200, b""

    with pytest.raises(UnavailableError, match="nothing is done"):
        await audit.act(WHO, "session.end", "abc", work)
    assert done == []


async def test_what_the_log_could_not_say_in_whole_is_not_asked(tmp_path: Path) -> None:
    """Blanks before an address would hide whose sessions were looked at."""

    class Nobody:
        async def ask(self, *_: object) -> tuple[int, bytes]:
            raise AssertionError("identity was asked")

    audit = AuditLog(tmp_path / "audit.jsonl")
    app = make_app(cast("Any", None), audit, cast("Any", Nobody()), cast("Any", None))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://gateway") as client:
        sought = await client.get("/_gateway/api/sessions", params={"email": " " * 120 + "victim@example.com"})
        ended = await client.delete("/_gateway/api/sessions", params={"userId": "\N{SUPERSCRIPT TWO}"})
    assert (sought.status_code, ended.status_code) == (400, 400)
    assert audit.latest() == []
