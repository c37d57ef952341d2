"""Is it alive, has it started, may it be sent requests: three questions with three answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Final

import orjson

from coffee_core.domain.errors import CoffeeError
from coffee_core.rest.container import Check
from coffee_core.rest.route import Route
from coffee_core.wire.message import Request, Response

KEPT: Final = 0.5
"""Seconds for which an answer of the dependencies serves everybody who asks."""


class Health:
    """`live`: the loop answers. `startup`: once all of `startup` was well (for example: the newest migrations are
    applied) it stays so. `ready`: started, not draining, and all of `ready` is well now."""

    def __init__(
        self,
        startup: Sequence[Check] = (),
        ready: Sequence[Check] = (),
        *,
        check_seconds: float = 2.0,
        startup_seconds: float = 15.0,
    ) -> None:
        self._startup = tuple(startup)
        self._ready = tuple(ready)
        self._check_seconds = check_seconds
        self._startup_seconds = startup_seconds
        self._started = False
        self._asked = asyncio.Lock()
        self._known: tuple[float, list[str]] = (float("-inf"), [])
        self.draining = False

    async def live(self, _: Request) -> Response:
        """Restart the process when this does not answer. It asks nobody: a database that is down is no reason."""
        return _answer([])

    async def startup(self, _: Request) -> Response:
        """Send nothing and kill nothing until this is 200."""
        return _answer(await self.not_started())

    async def ready(self, _: Request) -> Response:
        """Send requests while this is 200."""
        if self.draining:
            return _answer(["draining: this process is about to stop"])
        return _answer(await self.not_started() or await self._not_ready())

    async def not_started(self) -> list[str]:
        """What the start still waits for; empty once it has been done."""
        if not self._started:
            failed = await self._ask(self._startup, self._startup_seconds)
            self._started = not failed
            return failed
        return []

    async def _not_ready(self) -> list[str]:
        async with self._asked:
            at, failed = self._known
            if monotonic() - at > KEPT:
                failed = await self._ask(self._ready, self._check_seconds)
                self._known = monotonic(), failed
            return failed

    async def _ask(self, checks: Sequence[Check], seconds: float) -> list[str]:
        answers = await asyncio.gather(*(_one(check, seconds) for check in checks))
        return [answer for answer in answers if answer is not None]

    def routes(self) -> list[Route]:
        """The probes, for machines: not part of the API description."""
        return [
            Route(
                method="GET",
                path=f"/health/{probe}",
                handler=handler,
                name=f"health_{probe}",
                summary=f"Probe: {probe}",
                public=True,
            )
            for probe, handler in (("live", self.live), ("ready", self.ready), ("startup", self.startup))
        ]


async def _one(check: Check, seconds: float) -> str | None:
    try:
        async with asyncio.timeout(seconds):
            return await check()
    except TimeoutError:
        return f"{_name(check)} did not answer within {seconds:g} s"
    except CoffeeError as error:  # its words are meant to be read
        return error.detail
    except Exception as error:  # noqa: BLE001 - whatever a check dies of, it is not well; the text may hold a secret
        return f"{_name(check)} failed: {type(error).__name__}"


def _name(check: Check) -> str:
    return getattr(check, "__qualname__", type(check).__name__)


def _answer(failed: list[str]) -> Response:
    body = {"status": "DOWN" if failed else "UP", "failed": failed}
    return Response(503 if failed else 200, orjson.dumps(body), headers=[(b"cache-control", b"no-store")])
