"""The gateway's processes are replaced and reloaded under load, and nobody notices."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.gateway.verdict.rig import Identity, User
from tests.support.gateway_process import a_gateway, children, says_who
from tests.support.raw_http import RawClient
from tests.support.raw_upstream import RawUpstream

RESTARTS = int(os.environ.get("COFFEE_TEST_ROLLING_RESTARTS", "2"))
"""In full: 20."""
CLIENTS = 16
UNLIMITED = {
    "COFFEE_GATEWAY_ADDRESS_RATE": "1000000",
    "COFFEE_GATEWAY_ADDRESS_BURST": "1000000",
    "COFFEE_GATEWAY_PARTNER_RATE_PAID": "1000000",
}


class Load:
    """Clients that keep their connections as long as they may, and ask without a pause."""

    def __init__(self, port: int, token: str, wanted: bytes) -> None:
        self._port = port
        self._ask = b"GET /discovery-service/api/x HTTP/1.1\r\nhost: a\r\nauthorization: Bearer %b\r\n\r\n" % (
            token.encode()
        )
        self._wanted = wanted
        self.answered = 0
        self.failed: list[str] = []
        self.ends = False

    async def one_client(self) -> None:
        """Until `ends`."""
        while not self.ends:
            try:
                async with await RawClient.connect(self._port) as client:
                    closes = False
                    while not closes and not self.ends:
                        answer = await client.ask(self._ask)
                        if answer.body != self._wanted:
                            self.failed.append(f"{answer.status} {answer.body!r}")
                        self.answered += 1
                        closes = answer.header(b"connection") == b"close"
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.failed.append(repr(error))


async def replaced(supervisor: int, before: set[int]) -> None:
    """Wait until none of the old processes is left, and as many new ones are there."""
    async with asyncio.timeout(60):
        while children(supervisor) & before or len(children(supervisor)) != len(before):
            await asyncio.sleep(0.05)


@pytest.mark.timeout(60 + RESTARTS * 20)
async def test_rolling_restarts_under_load_fail_no_request(redis_url: str) -> None:
    async with (
        Identity.serve() as identity,
        RawUpstream(says_who) as upstream,
        a_gateway(identity, upstream, redis_url, 2, environment=UNLIMITED) as (
            process,
            client,
        ),
    ):
        user = User(identity, plan="PAID")
        port = urlsplit(str(client.base_url)).port
        assert port is not None
        load = Load(port, user.token(), user.partner.encode())
        clients = [asyncio.create_task(load.one_client()) for _ in range(CLIENTS)]
        try:
            for _ in range(RESTARTS):
                before, answered = children(process.pid), load.answered
                assert len(before) == 2
                process.send_signal(signal.SIGHUP)
                await replaced(process.pid, before)
                assert load.answered > answered
        finally:
            load.ends = True
            await asyncio.gather(*clients)
        print(f"{RESTARTS} rolling restarts, {load.answered} requests, {len(load.failed)} failed")
        assert not load.failed, load.failed[:5]


async def test_sighup_takes_up_what_the_files_say_and_one_worker_is_enough(redis_url: str, tmp_path: Path) -> None:
    routes, environment = tmp_path / "routes.json", tmp_path / "gateway.env"
    routes.write_text('{"aliases": {"/who": "/discovery-service/api/x"}}', encoding="utf-8")
    environment.write_text(f"COFFEE_GATEWAY_ROUTES_FILE={routes}\nCOFFEE_GATEWAY_CORS_ORIGINS=https://a.example\n")
    async with (
        Identity.serve() as identity,
        RawUpstream(says_who) as upstream,
        a_gateway(identity, upstream, redis_url, 1, options=("--env-file", str(environment))) as (process, client),
    ):
        headers = {"authorization": f"Bearer {User(identity).token()}", "origin": "https://a.example"}
        assert (await client.get("/who", headers=headers)).headers["access-control-allow-origin"] == headers["origin"]
        routes.write_text('{"aliases": {"/whoever": "/discovery-service/api/x"}}', encoding="utf-8")
        environment.write_text(f"COFFEE_GATEWAY_ROUTES_FILE={routes}\n")
        before = children(process.pid)
        process.send_signal(signal.SIGHUP)
        await replaced(process.pid, before)
        answer = await fresh(client, "/whoever", headers)
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers
        assert (await fresh(client, "/who", headers)).status_code == 404
        # a mistake changes nothing, and the next worker starts with what was right
        environment.write_text("COFFEE_GATEWAY_ROUTES_FIEL=/nowhere\nCOFFEE_GATEWAY_UPSTREAM_CONNECTIONS=none\n")
        before = children(process.pid)
        process.send_signal(signal.SIGHUP)
        await asyncio.sleep(0.5)  # nothing comes of it: there is nothing to wait for
        assert children(process.pid) == before
        os.kill(*before, signal.SIGKILL)
        async with asyncio.timeout(20):
            while children(process.pid) in (before, set()):
                await asyncio.sleep(0.05)
        assert (await fresh(client, "/whoever", headers)).status_code == 200


async def fresh(client: httpx2.AsyncClient, path: str, headers: dict[str, str]) -> httpx2.Response:
    """On a connection of its own, for which there may be nobody yet."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await client.get(path, headers=headers | {"connection": "close"})
            except httpx2.TransportError:
                await asyncio.sleep(0.05)
