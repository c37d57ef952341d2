"""Refusals of the gateway's own routes: the platform's problem document."""

from __future__ import annotations

from http import HTTPStatus

from coffee_core.wire.message import Request, Response
from gateway.verdict.decision import Refused
from gateway.verdict.problem import PROBLEM, problem_body


def problem(request: Request, status: int, detail: str, *headers: tuple[bytes, bytes]) -> Response:
    """With the id that the data plane has decided on."""
    request_id = request.headers.get(b"x-bb-requestid", b"")
    refused = Refused(status, HTTPStatus(status).phrase, detail, [], request_id, "")
    body = problem_body(refused, request.path.encode())
    return Response(status, body, content_type=PROBLEM, headers=[(b"cache-control", b"no-store"), *headers])
