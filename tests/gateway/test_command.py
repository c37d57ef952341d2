"""`coffee gateway` as a process: it serves, tells, decides, forwards, and drains."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from tests.gateway.verdict.rig import Identity, User
from tests.support.gateway_process import a_gateway, says_who
from tests.support.raw_upstream import RawUpstream


async def test_a_request_goes_through_and_what_is_in_hand_is_finished_on_sigterm(redis_url: str) -> None:
    async with (
        Identity.serve() as identity,
        RawUpstream(says_who) as upstream,
        a_gateway(identity, upstream, redis_url, 1) as (process, client),
    ):
        user = User(identity)
        authorization = {"authorization": f"Bearer {user.token()}", "x-bb-partner-id": "1"}
        answer = await client.get("/discovery-service/api/profile/1", headers=authorization)
        assert (answer.status_code, answer.text) == (200, user.partner)
        assert (await client.get("/discovery-service/api/profile/1")).status_code == 401
        metrics = (await client.get("/metrics")).text
        assert 'gateway_requests_total{plan="PAID",route="service",status="200"} 1.0' in metrics
        assert 'gateway_cache_events_total{cache="session",event="loads"} 1.0' in metrics
        in_hand = asyncio.ensure_future(client.get("/discovery-service/slow", headers=authorization))
        async with asyncio.timeout(10):
            while not any(asked.line.split()[1].endswith(b"/slow") for asked in upstream.asked):
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert (await in_hand).text == user.partner
        async with asyncio.timeout(10):
            assert await process.wait() == 0


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_workers_give_way_to_who_sends_to_them_if_they_are_to(redis_url: str) -> None:
    batch = {"COFFEE_GATEWAY_SCHEDULING": "batch"}
    async with (
        Identity.serve() as identity,
        RawUpstream(says_who) as upstream,
        a_gateway(identity, upstream, redis_url, 2, environment=batch) as (process, client),
    ):
        assert (await client.get("/health/live")).status_code == 200
        assert [os.sched_getscheduler(worker) for worker in children(process.pid)] == [os.SCHED_BATCH] * 2
        assert os.sched_getscheduler(process.pid) == os.SCHED_OTHER, "a signal reaches the supervisor at once"


async def test_an_operator_takes_all_workers_out_of_rotation_and_they_end_together(redis_url: str) -> None:
    async with (
        Identity.serve() as identity,
        RawUpstream(says_who) as upstream,
        a_gateway(identity, upstream, redis_url, 2) as (process, client),
    ):
        operator = {"authorization": f"Bearer {User(identity, operator=True).token()}", "connection": "close"}
        assert (await client.put("/heartbeat/?beat=false", headers=operator)).status_code == 410
        seen = {(await client.get("/heartbeat/", headers={"connection": "close"})).status_code for _ in range(16)}
        assert seen == {410}
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            assert await process.wait() == 0
