"""Layer: one frame for those who look at every request and change nothing: metrics, access log, slow requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Final, TypeAlias

from coffee_core.domain.context import CURRENT, RequestContext
from coffee_core.http.streams import watched
from coffee_core.wire.message import Handler, Layer, Request, Response

CLIENT_GONE: Final = 499
"""No status of HTTP: the caller went away before there was an answer. nginx counts them so."""

Ended: TypeAlias = Callable[[Request, RequestContext, int, float, int, BaseException | None], None]
"""Told of each request when its answer has ended: its context, the status, the seconds that it took, the bytes of the
body that were sent, and what broke its stream off."""
Answered: TypeAlias = Callable[[Request, float], None]
"""Told of each request when there is an answer, or the beginning of a stream, after so many seconds."""


def observed(answered: Answered, *ended: Ended) -> Layer:
    """Tell them, in their order. None of them may raise."""

    def layer(following: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            started = perf_counter()
            context = CURRENT.get()
            try:
                response = await following(request)
            except BaseException:
                seconds = perf_counter() - started
                answered(request, seconds)
                for tell in ended:
                    tell(request, context, CLIENT_GONE, seconds, 0, None)
                raise
            seconds = perf_counter() - started
            answered(request, seconds)
            if response.stream is None:
                status, size = response.status, len(response.body)
                for tell in ended:
                    tell(request, context, status, seconds, size, None)
            else:
                _watch(response, request, context, started, ended)
            return response

        return handle

    return layer


def _watch(
    response: Response, request: Request, context: RequestContext, started: float, ended: Sequence[Ended]
) -> None:
    """A streamed answer has ended when its last piece is out."""
    assert response.stream is not None
    status = response.status

    def end(sent: int, error: BaseException | None) -> None:
        seconds = perf_counter() - started
        for tell in ended:
            tell(request, context, status, seconds, sent, error)

    response.stream = watched(response.stream, end)
