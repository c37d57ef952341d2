"""What the caches did, told to operators who ask."""

from __future__ import annotations

import json
import re

from coffee_core.cache.redis_client import open_redis
from gateway.build import BuiltVerdict
from gateway.verdict.decision import Forward
from tests.gateway.verdict.rig import TARGET, Identity, User, forwarded, request

ASKED = (b"x-bb-cache-status", b"1")


def told(forward: Forward) -> list[str]:
    return re.findall(r"^cache-status: (.*)\r$", forward.answer_head.decode(), re.MULTILINE)


async def test_an_operator_learns_where_session_and_plan_came_from(
    verdict: BuiltVerdict, identity: Identity, redis_url: str
) -> None:
    operator = User(identity, operator=True)
    redis = open_redis(redis_url, timeout=5, max_connections=1)
    await redis.set(f"plan:{operator.partner}", json.dumps({"type": "PAID", "until": None}), ex=60)
    await redis.aclose()
    head = request(TARGET, operator.bearer(), ASKED)
    forward = await forwarded(verdict, head)
    assert b"cache-status" not in forward.head
    (first,) = told(forward)
    assert re.fullmatch(
        r"gateway-session; fwd=miss; stored; detail=authority; ttl=\d+, "
        r"gateway-plan; fwd=miss; stored; detail=redis; ttl=\d+",
        first,
    )
    (second,) = told(await forwarded(verdict, head))
    assert re.fullmatch(
        r"gateway-session; hit; detail=process; ttl=\d+, gateway-plan; hit; detail=process; ttl=\d+", second
    )
    assert told(await forwarded(verdict, request(TARGET, operator.bearer()))) == []


async def test_nobody_else_learns_it(verdict: BuiltVerdict, identity: Identity) -> None:
    forward = await forwarded(verdict, request(TARGET, User(identity).bearer(), ASKED))
    assert told(forward) == []
    assert b"cache-status" not in forward.head
