"""Out of rotation and back: one act, noted in the audit log, by whichever door an operator comes."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

import orjson

from coffee_core.domain.errors import InputError, UnavailableError
from coffee_core.wire.message import Request, Response
from gateway.edge.health import Heartbeat
from gateway.edge.problem import problem
from gateway.operator.audit import AuditLog, who

WANTED = "say `beat=true` or `beat=false`"


class Rotation:
    """Turns the heartbeat of all workers."""

    def __init__(self, heartbeat: Heartbeat, audit: AuditLog) -> None:
        self._heartbeat = heartbeat
        self._audit = audit

    @property
    def beating(self) -> bool:
        """In rotation."""
        return self._heartbeat.beating

    async def turn(self, by: Mapping[str, str], beat: str | None) -> tuple[int, bytes]:
        """`true` or `false`, for somebody: status and body. `InputError` for any other word, `UnavailableError` if it
        cannot be noted: then nothing changes."""
        if beat not in ("true", "false"):
            raise InputError(WANTED)

        async def work() -> tuple[int, bytes]:
            self._heartbeat.beating = beat == "true"
            return 200, orjson.dumps({"beat": self._heartbeat.beating})

        return await self._audit.act(by, "rotation.in" if beat == "true" else "rotation.out", "this gateway", work)

    async def put(self, request: Request) -> Response:
        """PUT /heartbeat/?beat=true|false: what a GET answers from now on."""
        (beat, *_) = parse_qs(request.query.decode("latin-1")).get("beat", [""])
        said = request.headers
        try:
            await self.turn(who(lambda name: said.get(name.encode(), b"").decode("latin-1"), request.client), beat)
        except InputError as error:
            return problem(request, 400, error.detail)
        except UnavailableError as error:
            return problem(request, 503, error.detail)
        return await self._heartbeat.get(request)
