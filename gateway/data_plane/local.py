"""The gateway's own routes: the edge application gets a request that says nothing about identity but what is known."""

from __future__ import annotations

from coffee_core.wire.message import Request
from gateway.verdict.decision import Local


def for_the_edge(request: Request, decision: Local) -> Request:
    """Without what the caller claims to be, in any spelling, and with what was decided on:
    the request id, the plan, and on operators' routes the identity and the address; where that is not the peer's, the
    peer is `x-bb-peer`."""
    kept = {
        name: value
        for name, value in request.headers.items()
        if name[:1] != b"x" or not name.replace(b"_", b"-").startswith(b"x-bb-")
    }
    for line in decision.said.split(b"\r\n"):
        name, _, value = line.partition(b": ")
        if name:
            kept[name] = value
    if decision.plan:
        kept[b"x-bb-plan-type"] = decision.plan
    if decision.address and decision.address != request.client:
        kept[b"x-bb-peer"] = request.client.encode()
        request.client = decision.address
    kept[b"x-bb-requestid"] = decision.request_id
    request.headers = kept
    return request
