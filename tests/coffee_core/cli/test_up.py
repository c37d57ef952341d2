"""`coffee up`, run as a user runs it, with small programs in the place of gateway, modules and worker."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from coffee_core.cli.ports import read_ports
from tests.coffee_core.embedded.processes import cmdline, gone, parent_of
from tests.support.ports import free_port

WITHIN_SECONDS = 60.0
COMMANDS = ("gateway", "modules", "worker", "migrate", "demo")


class Up:
    """One `coffee up`: its process, what it said, and where its parts are."""

    def __init__(self, process: Process, variables: dict[str, str]) -> None:
        self.process = process
        self.said = ""
        self._variables = variables

    async def says(self, words: str) -> None:
        """Read on until it says so; if it ends first, that is the failure."""
        assert self.process.stdout
        async with asyncio.timeout(WITHIN_SECONDS):
            while words not in self.said:
                chunk = await self.process.stdout.read(4096)
                assert chunk, f"ended without saying {words!r}:\n{self.said}"
                self.said += chunk.decode()

    async def ends(self) -> int:
        assert self.process.stdout
        async with asyncio.timeout(WITHIN_SECONDS):
            self.said += (await self.process.stdout.read()).decode()
            return await self.process.wait()

    async def get(self, part: str, path: str = "/") -> dict[str, Any]:
        async with httpx2.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{self._variables[f'COFFEE_{part.upper()}_PORT']}{path}")
            return dict(answer.json())


class Place:
    """A folder with the commands installed in it, and servers that are given by URL."""

    def __init__(self, folder: Path, urls: dict[str, str]) -> None:
        self.folder = folder
        ports = {f"COFFEE_{name}_PORT": str(free_port()) for name in ("GATEWAY", "MODULES", "DATA", "METRICS")}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("COFFEE_")}
        demo = {"COFFEE_TEST_DEMO_FILE": str(folder / "demo"), "COFFEE_UP_RESTART_SECONDS": "0.05"}
        self.variables = {**clean, **ports, **urls, **demo, "PYTHONPATH": str(folder / "site")}
        site = folder / "site"
        info = site / "fake_platform-1.dist-info"
        info.mkdir(parents=True)
        shutil.copy(Path(__file__).with_name("fake_platform.py"), site / "fake_platform.py")
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-platform\nVersion: 1\n")
        lines = [f"{name} = fake_platform:{name}" for name in COMMANDS]
        (info / "entry_points.txt").write_text("\n".join(["[coffee.commands]", *lines, ""]))

    @contextlib.asynccontextmanager
    async def up(self, *options: str, **variables: str) -> AsyncIterator[Up]:
        told = self.variables | variables
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "coffee_core.cli.main", "up", "--folder", str(self.folder / "coffee"), *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=told,
        )
        try:
            yield Up(process, told)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.communicate()


@pytest.fixture
def place(tmp_path: Path, database_url: str, redis_url: str, nats_url: str) -> Place:
    return Place(
        tmp_path,
        {
            "COFFEE_DATABASE_URL": database_url,
            "COFFEE_REDIS_URL": redis_url,
            "COFFEE_BROKER_URL": nats_url,
            "COFFEE_CLICKHOUSE_URL": "http://127.0.0.1:9",  # nobody asks it anything here
        },
    )


async def test_every_part_runs_knows_the_others_and_stops_when_told(place: Place) -> None:
    async with place.up() as up:
        await up.says("Ctrl-C stops everything")
        answers = [await up.get(part) for part in ("gateway", "modules", "data")]
        modules_url = f"http://127.0.0.1:{place.variables['COFFEE_MODULES_PORT']}"
        assert {answer["COFFEE_SAAS_URL"] for answer in answers} == {modules_url}
        (secret,) = {answer["COFFEE_JWT_SECRET"] for answer in answers}
        assert len(secret) >= 32
        assert secret not in up.said
        assert (place.folder / "demo").read_text() == "poured"
        assert int(place.variables["COFFEE_GATEWAY_PORT"]) in read_ports(place.folder / "coffee")
        gateway_url = f"http://127.0.0.1:{place.variables['COFFEE_GATEWAY_PORT']}"
        pasted = next(line for line in up.said.splitlines() if "TOKEN=$(" in line)
        assert f"{gateway_url}/auth/login" in pasted
        assert pasted.endswith('["accessToken"])\')'), "a line to paste was cut or wrapped"
        up.process.send_signal(signal.SIGINT)
        assert await up.ends() == 0
        assert "stopped; the data stays" in up.said
    for answer in answers:
        assert await gone(answer["pid"])
    assert "drained" in (place.folder / "coffee" / "logs" / "gateway.log").read_text()
    async with place.up("--no-demo") as again:
        await again.says("Ctrl-C stops everything")
        assert (await again.get("gateway"))["COFFEE_JWT_SECRET"] == secret
        assert "saas@example.com" not in again.said


async def test_a_part_that_dies_comes_back_and_it_is_said(place: Place) -> None:
    async with place.up() as up:
        await up.says("Ctrl-C stops everything")
        before = (await up.get("modules"))["pid"]
        with contextlib.suppress(httpx2.HTTPError):
            await up.get("modules", "/die")
        await up.says("modules ended with status 9; it is started again in 0.05 s")
        await up.says("modules is back")
        assert (await up.get("modules"))["pid"] != before


async def test_a_part_that_cannot_live_stops_the_platform_with_its_last_words(place: Place) -> None:
    async with place.up(COFFEE_TEST_GATEWAY="broken") as up:
        assert await up.ends() == 1
        assert "gateway ended with status 5 before it answered" in up.said
        assert "the grinder is jammed" in up.said


async def test_a_part_that_dies_again_and_again_stops_the_platform(place: Place) -> None:
    async with place.up(COFFEE_UP_EARLY_DEATHS="2") as up:
        await up.says("Ctrl-C stops everything")
        for said in ("modules is back", "modules ended 2 times soon after its start"):
            with contextlib.suppress(httpx2.HTTPError):
                await up.get("modules", "/die")
            await up.says(said)
        assert await up.ends() == 1
        assert "somebody told me to die" in up.said


async def test_a_migration_that_fails_is_quoted_and_nothing_is_started(place: Place) -> None:
    async with place.up(COFFEE_TEST_MIGRATE="broken") as up:
        assert await up.ends() == 1
        assert "column roast does not exist" in up.said
    assert not (place.folder / "coffee" / "logs" / "gateway.log").exists()


async def test_a_taken_port_is_passed_over_and_it_is_said(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with place.up(COFFEE_GATEWAY_PORT=str(port)) as up:
            await up.says(f"port {port} is taken: gateway is on ")
            await up.says("Ctrl-C stops everything")
            assert f"http://127.0.0.1:{port}" not in up.said


async def test_a_typing_error_in_a_variable_stops_the_start(place: Place) -> None:
    async with place.up(COFFEE_GATEWAY_PROT="1") as up:
        assert await up.ends() == 1
        assert "COFFEE_GATEWAY_PROT is not a setting: did you mean COFFEE_GATEWAY_PORT?" in up.said


async def test_nothing_outlives_a_supervisor_that_is_killed(place: Place) -> None:
    async with place.up() as up:
        await up.says("Ctrl-C stops everything")
        pids = [(await up.get(part))["pid"] for part in ("gateway", "modules", "data")]
        up.process.kill()
        await up.process.wait()
        for pid in pids:
            assert await gone(pid)


async def test_the_parts_are_forked_from_one_process_that_has_imported_them(place: Place) -> None:
    async with place.up() as up:
        await up.says("Ctrl-C stops everything")
        pids = [(await up.get(part))["pid"] for part in ("gateway", "modules", "data")]
        (server,) = {parent_of(pid) for pid in pids}
        assert parent_of(server) == up.process.pid
        assert cmdline(pids[0]).rstrip("\0 ") == "coffee gateway"


async def test_without_the_process_that_forked_them_the_parts_come_back_all_the_same(place: Place) -> None:
    async with place.up() as up:
        await up.says("Ctrl-C stops everything")
        before = (await up.get("modules"))["pid"]
        os.kill(parent_of(before), signal.SIGKILL)
        for part in ("gateway", "modules", "data", "worker"):
            await up.says(f"{part} is back")
        after = (await up.get("modules"))["pid"]
        assert after != before
        assert parent_of(after) == up.process.pid


async def test_a_second_platform_in_the_same_folder_is_refused(place: Place) -> None:
    async with place.up() as up:
        await up.says("Ctrl-C stops everything")
        async with place.up(COFFEE_EMBEDDED_LOCK_SECONDS="0") as second:
            assert await second.ends() == 1
            assert f"in use by process {up.process.pid}" in second.said


async def test_with_embedded_servers_a_second_start_finds_the_data(tmp_path: Path) -> None:
    place = Place(tmp_path, {})
    for number in (1, 2):
        async with place.up() as up:
            await up.says("Ctrl-C stops everything")
            told = await up.get("gateway")
            assert told["COFFEE_DATABASE_URL"].startswith("postgresql://postgres@/postgres?host=/tmp/coffee-")
            assert f"start number {number}" in (tmp_path / "coffee" / "logs" / "migrate.log").read_text()
            up.process.terminate()
            assert await up.ends() == 0


async def test_an_embedded_server_that_dies_comes_back_under_the_parts(tmp_path: Path) -> None:
    place = Place(tmp_path, {})
    async with place.up() as up:
        await up.says("Ctrl-C stops everything")
        told = await up.get("gateway")
        socket_path = told["COFFEE_REDIS_URL"].removeprefix("unix://").partition("?")[0]
        reader, writer = await asyncio.open_unix_connection(socket_path)
        writer.write(b"SHUTDOWN NOSAVE\r\n")
        await reader.read()
        writer.close()
        await up.says("valkey is back")
        assert (await up.get("gateway"))["COFFEE_REDIS_URL"] == told["COFFEE_REDIS_URL"]
