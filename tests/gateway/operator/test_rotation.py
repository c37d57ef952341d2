"""An operator's hand on the rotation, and the line that it leaves in the audit log."""

from __future__ import annotations

from pathlib import Path

import pytest

from coffee_core.wire.message import BufferedBody, Request
from gateway.edge.health import Heartbeat
from gateway.operator.audit import AuditLog
from gateway.operator.rotation import Rotation


def asked(query: bytes) -> Request:
    return Request("PUT", "/heartbeat/", query, {b"x-bb-uid": b"7"}, BufferedBody(), client="192.0.2.1")


async def test_out_of_rotation_is_410_until_it_is_put_back(tmp_path: Path) -> None:
    heartbeat = Heartbeat()
    rotation = Rotation(heartbeat, AuditLog(tmp_path / "audit.jsonl"))
    assert (await heartbeat.get(asked(b""))).status == 200
    assert (await rotation.put(asked(b"beat=false"))).status == 410
    assert (await heartbeat.get(asked(b""))).status == 410
    assert (await rotation.put(asked(b"beat=true"))).status == 200


async def test_each_turn_is_in_the_audit_log_with_who_did_it(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "audit.jsonl")
    rotation = Rotation(Heartbeat(), audit)
    await rotation.put(asked(b"beat=false"))
    await rotation.put(asked(b"beat=true"))
    noted = [(act["act"], act["uid"], act["address"], act["outcome"]) for act in audit.latest()]
    assert noted == [("rotation.in", "7", "192.0.2.1", "done"), ("rotation.out", "7", "192.0.2.1", "done")]


@pytest.mark.parametrize("query", [b"", b"beat=", b"beat=no", b"heart=false"])
async def test_what_is_not_clear_changes_nothing(tmp_path: Path, query: bytes) -> None:
    heartbeat, audit = Heartbeat(), AuditLog(tmp_path / "audit.jsonl")
    assert (await Rotation(heartbeat, audit).put(asked(query))).status == 400
    assert heartbeat.beating
    assert audit.latest() == []


async def test_what_cannot_be_noted_is_not_done(tmp_path: Path) -> None:
    heartbeat = Heartbeat()
    rotation = Rotation(heartbeat, AuditLog(tmp_path / "nowhere" / "audit.jsonl"))
    assert (await rotation.put(asked(b"beat=false"))).status == 503
    assert heartbeat.beating
