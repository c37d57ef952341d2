"""The present state of one worker, for the operators' page."""

from __future__ import annotations

import os
import time

from coffee_core.cache.link import InvalidationLink
from gateway.data_plane.front import GatewayFront
from gateway.operator.figures import Now


def present(front: GatewayFront, link: InvalidationLink | None, since: float) -> Now:
    """Read now."""
    groups = list(front.upstreams.groups.values())
    return Now(
        pid=os.getpid(),
        at=time.time(),
        since=since,
        clients=len(front.connections),
        link_in_doubt=None if link is None else link.in_doubt,
        lag=[] if link is None else list(link.lag.counts),
        targets=[
            {
                "upstream": group.name,
                "target": str(pool.target),
                "idle": len(pool.idle),
                "busy": pool.open - len(pool.idle),
                "waiting": pool.waiting,
                "most": pool.settings.connections,
                "ejected": bool(pool.ejected),
                "unhealthy": pool.unhealthy,
            }
            for group in groups
            for pool in group.pools
        ],
        breakers=[
            {
                "upstream": group.name,
                "state": group.breaker.state.value,
                "opened": group.breaker.opened,
                "answers": group.breaker.answers,
                "failures": group.breaker.failures,
            }
            for group in groups
        ],
    )
