"""Probes."""

from __future__ import annotations

import json
import os

from coffee_core.wire.message import BufferedBody, Request
from gateway.edge.health import Health, Heartbeat


def asked() -> Request:
    return Request("GET", "/health/ready", b"", {}, BufferedBody())


async def test_ready_is_told_apart_from_alive() -> None:
    heartbeat = Heartbeat()
    health = Health(heartbeat, lambda: {"push": False})
    assert (await health.live(asked())).status == 200
    assert (await health.startup(asked())).status == 503
    assert (await health.ready(asked())).status == 503
    health.started = True
    ready = await health.ready(asked())
    assert ready.status == 200
    assert json.loads(ready.body)["push"] is False  # reported: the gateway goes on without it
    heartbeat.beating = False
    assert (await health.ready(asked())).status == 503
    heartbeat.beating = True
    health.draining = True
    assert (await health.ready(asked())).status == 503
    assert (await health.live(asked())).status == 200


def test_one_worker_is_told_and_all_know() -> None:
    heartbeat = Heartbeat()
    child = os.fork()
    if child == 0:
        heartbeat.beating = False
        os._exit(0)
    os.waitpid(child, 0)
    assert not heartbeat.beating
