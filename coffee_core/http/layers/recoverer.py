"""Layer: whatever is raised becomes a problem, so that every request has an answer."""

from __future__ import annotations

from coffee_core.domain.context import CURRENT
from coffee_core.http.problems import problem_of
from coffee_core.wire.message import Handler, Request, Response


def recoverer(following: Handler) -> Handler:
    """Turn an exception into its problem. A cancellation passes: there is nobody left to answer."""

    async def handle(request: Request) -> Response:
        try:
            return await following(request)
        except Exception as error:  # noqa: BLE001 - this is the place: what is not ours to know is a 500
            return problem_of(error, path=request.path, request_id=CURRENT.get().request_id)

    return handle
