"""Answers of the gateway itself: refusals, preflights, and what it says when an upstream does not."""

from __future__ import annotations

from coffee_core.wire.answer import status_line
from coffee_core.wire.errors import PROBLEM
from coffee_core.wire.message import Response
from gateway.verdict.decision import Answered, Refused
from gateway.verdict.problem import problem_body


def refused(decision: Refused, path: bytes) -> Response:
    """A refusal as a problem."""
    return Response(
        decision.status,
        problem_body(decision, path),
        content_type=PROBLEM,
        headers=[*decision.headers, (b"x-bb-requestid", decision.request_id)],
    )


def answered(decision: Answered) -> Response:
    """An answer without a body."""
    headers = [*decision.headers, (b"x-bb-requestid", decision.request_id)]
    return Response(decision.status, content_type=None, headers=headers)


def own_problem(status: int, detail: str, request_id: bytes, path: bytes, *, retry_after: int = 1) -> Response:
    """502, 503 or 504: the upstream's fault, said in the gateway's words. `retry_after`, in seconds, is a 503's."""
    title = status_line(status)[13:-2].decode()
    headers = [(b"retry-after", b"%d" % retry_after)] if status == 503 else []
    return refused(Refused(status, title, detail, headers, request_id, ""), path)
