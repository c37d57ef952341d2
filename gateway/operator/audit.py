"""The audit log: each act of an operator, before it is done and with its outcome, one JSON line each.

An act whose first line cannot be written is not done. Lines are appended and synced, by all workers to one file.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from coffee_core.domain.errors import UnavailableError

log: Final = logging.getLogger("gateway.audit")

TAIL_BYTES: Final = 256 * 1024
SHOWN: Final = 200


def who(header: Callable[[str], str], address: str) -> dict[str, str]:
    """Who acts, as the log says it: of a request for the edge, whose headers the caller did not write. `peer` is who
    opened the connection, if that is another: a balancer, most likely."""
    said = {"uid": header("x-bb-uid"), "account": header("x-bb-account-id"), "address": address}
    peer = header("x-bb-peer")
    return {**said, **({"peer": peer} if peer else {}), "requestId": header("x-bb-requestid")}


class AuditLog:
    """Appends to `path`; what it appends is in the process's log as well."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def act(
        self, who: Mapping[str, str], act: str, target: str, work: Callable[[], Awaitable[tuple[int, bytes]]]
    ) -> tuple[int, bytes]:
        """Note it, do it, note how it ended. `work` gives status and body of the answer."""
        noted = {"id": secrets.token_hex(8), **who, "act": act, "target": target}
        await self._write({**noted, "outcome": "begun"})
        try:
            status, body = await work()
        except BaseException:
            await asyncio.shield(self._write({**noted, "outcome": "unknown"}))
            raise
        await self._write({**noted, "outcome": "done" if status < 400 else f"refused: {status}"})
        return status, body

    def latest(self) -> list[dict[str, str]]:
        """The latest acts, newest first, each with its last outcome."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return []
        acts: dict[str, dict[str, str]] = {}
        for line in lines:
            try:
                noted: dict[str, str] = orjson.loads(line)
                begun = acts.get(noted["id"])
                acts[noted["id"]] = noted if begun is None else {**noted, "time": begun["time"]}
            except (orjson.JSONDecodeError, KeyError, TypeError):
                continue  # the first line of the tail is cut
        return list(reversed(acts.values()))[:SHOWN]

    async def _write(self, noted: Mapping[str, str]) -> None:
        line = orjson.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **noted}) + b"\n"
        try:
            await asyncio.to_thread(self._append, line)
        except OSError as error:
            log.error("an act is not noted, so it is not done: %s", error)  # noqa: TRY400 - the sentence says it all
            raise UnavailableError("the audit log cannot be written, so nothing is done") from None
        log.info("%s", line.decode().rstrip())

    def _append(self, line: bytes) -> None:
        number = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(number, line)
            os.fsync(number)
        finally:
            os.close(number)
