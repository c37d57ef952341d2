"""Layer: who is calling, on which plan, until when. Nothing below reads a header for it."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from time import monotonic
from typing import Final

from coffee_core.domain.context import CURRENT
from coffee_core.domain.errors import InputError
from coffee_core.http.identity import CallerReader
from coffee_core.observability.tracing import is_traceparent
from coffee_core.wire.message import Handler, Layer, Request, Response

TIMEOUT: Final = b"x-request-timeout"
"""Seconds, with at most three decimals: the caller waits no longer than that."""

_SECONDS: Final = re.compile(rb"[0-9]{1,6}(\.[0-9]{1,3})?").fullmatch


def context(callers: CallerReader, deadline_seconds: float) -> Layer:
    """Fill the request context from headers: bad ones are refused, none at all is an anonymous caller."""

    def layer(following: Handler) -> Handler:
        def handle(request: Request) -> Awaitable[Response]:
            headers = request.headers
            now = CURRENT.get()
            caller = callers.read(headers)
            if caller is not None:
                now.partner_id, now.account_id, now.user_id, now.plan = caller
            asked = headers.get(TIMEOUT)
            allowed = deadline_seconds if asked is None else min(_seconds(asked), deadline_seconds)
            now.deadline = monotonic() + allowed  # the clock of asyncio's loops and of uvloop's
            trace = headers.get(b"traceparent")
            if trace is not None and is_traceparent(trace):
                now.traceparent = trace.decode()
            return following(request)

        return handle

    return layer


def _seconds(text: bytes) -> float:
    if _SECONDS(text) is None or float(text) == 0:
        raise InputError(f"{TIMEOUT.decode()} must be seconds above zero, for example 2.5")
    return float(text)
