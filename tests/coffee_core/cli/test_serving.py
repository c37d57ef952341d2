"""`coffee modules`, `coffee openapi` and `coffee routes`, run as a user runs them, with a small module of a package."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import orjson
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from coffee_core.embedded.fresh_database import fresh_database
from coffee_core.messaging.tables import FRAMEWORK
from coffee_core.persistence.migrations.runner import upgrade
from tests.support.ports import free_port

WITHIN_SECONDS = 60.0

KETTLES = """
import asyncio, os
from coffee_core.domain.plan import Plan
from coffee_core.rest.container import Mounted
from coffee_core.rest.route import Route
from coffee_core.wire.message import Response

async def boil(request):
    return Response(200, b'{"pid": %d}' % os.getpid())

async def slowly(request):
    print("boiling", flush=True)
    await asyncio.sleep(0.5)
    return Response(200, b'{"hot": true}')

async def brew(request):
    return Response(200, await request.body.read(1_000_000))

class Kettle:
    migrations = None
    def __init__(self, name):
        self.name = name
        self.service = f"{name}-service"
    def mount(self, container):
        def route(method, path, handler, name, **more):
            name = f"{self.name}_{name}"
            return Route(method=method, path=path, handler=handler, name=name, summary="Boil", **more)
        return Mounted(routes=[
            route("GET", "/api/kettle", boil, "boil", public=True),
            route("GET", "/api/kettle/slow", slowly, "slow", public=True),
            route("POST", "/api/kettle/{id}/brew", brew, "brew", plan=Plan.SAAS),
            route("GET", "/api/kettle/{id}", boil, "get"),
        ])

COPPER, STEEL = Kettle("copper"), Kettle("steel")
"""


@pytest.fixture(scope="module")
async def migrated_url(database_url: str) -> str:
    """A database with the framework's tables."""
    await upgrade(database_url, [FRAMEWORK], lambda _: None)
    return database_url


@pytest.fixture
def environment(tmp_path: Path, migrated_url: str) -> dict[str, str]:
    """A package with two modules, as pip would lay it down, and a database that serves."""
    (tmp_path / "coffee_kettle_plugin.py").write_text(KETTLES)
    info = tmp_path / "coffee_kettle_plugin-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: coffee-kettle-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[coffee.modules]\ncopper = coffee_kettle_plugin:COPPER\nsteel = coffee_kettle_plugin:STEEL\n"
        # the commands themselves, so that the test does not depend on when this checkout was installed
        "[coffee.commands]\nmodules = coffee_core.cli.serving:modules\nopenapi = coffee_core.cli.describing:openapi\n"
        "routes = coffee_core.cli.describing:routes\n"
        "[coffee.settings]\nmodules = coffee_core.cli.serving:ModulesSettings\n"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COFFEE_")}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), kept.get("PYTHONPATH", "")]),
        "COFFEE_DATABASE_URL": migrated_url,
        "COFFEE_METRICS_PORT": str(free_port()),
    }


async def coffee(environment: dict[str, str], *arguments: str) -> Process:
    command = [sys.executable, "-P", "-m", "coffee_core.cli.main", *arguments]
    return await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=PIPE)


async def said(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """Run to the end: status, standard output, standard error."""
    process = await coffee(environment, *arguments)
    async with asyncio.timeout(WITHIN_SECONDS):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def serving(environment: dict[str, str], *arguments: str) -> AsyncIterator[tuple[Process, httpx2.AsyncClient]]:
    """A running `coffee modules`, once it is ready."""
    port = free_port()
    process = await coffee(environment, "modules", "--port", str(port), *arguments)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            await answering(process, client, 200)
            yield process, client
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answering(process: Process, client: httpx2.AsyncClient, status: int) -> None:
    """Wait until the process is ready (200), or says that it is not (503)."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while True:
            if process.returncode is not None:
                assert process.stderr
                raise AssertionError((await process.stderr.read()).decode())
            try:
                if (await client.get("/health/ready")).status_code == status:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("server", ["coffee", "uvicorn", "granian"])
async def test_the_same_is_served_by_every_server(environment: dict[str, str], server: str) -> None:
    async with serving(environment, "--only", "copper", "--only", "steel", "--server", server) as (process, client):
        assert "pid" in (await client.get("/copper-service/api/kettle")).json()
        assert (await client.get("/copper-service/api/kettle/1")).status_code == 401
        identity = {"x-bb-partner-id": "7", "x-bb-plan-type": "SAAS"}
        body = b"x" * 300_000
        brewed = await client.post("/steel-service/api/kettle/1/brew", headers=identity, content=body)
        assert brewed.content == body
        assert (await client.get("/nothing")).headers["content-type"] == "application/problem+json"
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WITHIN_SECONDS):
            await process.wait()


async def test_a_stop_finishes_what_is_in_hand(environment: dict[str, str]) -> None:
    async with serving(environment, "--only", "copper") as (process, client):
        asking = asyncio.create_task(client.get("/copper-service/api/kettle/slow"))
        assert process.stdout
        async with asyncio.timeout(WITHIN_SECONDS):
            while b"boiling" not in await process.stdout.readline():
                pass
        process.send_signal(signal.SIGTERM)
        assert (await asking).json() == {"hot": True}
        async with asyncio.timeout(WITHIN_SECONDS):
            assert await process.wait() == 0


async def test_only_what_is_chosen_is_served(environment: dict[str, str]) -> None:
    async with serving(environment, "--only", "copper", "--only", "steel", "--except", "steel") as (_, client):
        assert (await client.get("/copper-service/api/kettle")).status_code == 200
        assert (await client.get("/steel-service/api/kettle")).status_code == 404


async def test_metrics_have_a_port_of_their_own(environment: dict[str, str]) -> None:
    async with serving(environment, "--only", "copper") as (_, client):
        await client.get("/copper-service/api/kettle")
        metrics = f"http://127.0.0.1:{environment['COFFEE_METRICS_PORT']}"
        text = (await client.get(f"{metrics}/metrics")).text
        assert 'http_request_seconds_count{route="GET /copper-service/api/kettle",status="200"} 1.0' in text
        assert (await client.get(f"{metrics}/health/live")).status_code == 200
        assert (await client.get(f"{metrics}/copper-service/api/kettle")).status_code == 404


async def test_the_access_log_is_written_line_by_line(environment: dict[str, str]) -> None:
    async with serving(environment, "--only", "copper") as (process, client):
        await client.get("/copper-service/api/kettle")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WITHIN_SECONDS):
            out, _ = await process.communicate()
    lines = [orjson.loads(line) for line in out.splitlines() if line.startswith(b"{")]
    assert [line["route"] for line in lines if line["log"] == "access"] == ["GET /copper-service/api/kettle"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("modules", "--only", "tin"), "there is no module tin; there are"),
        (("routes", "--module", "tin"), "there is no module tin; there are"),
        (("openapi", "--module", "copper", "--plan", "GOLD"), "there is no plan GOLD; there are: FREE, SAAS, PAID"),
    ],
)
async def test_what_does_not_exist_is_said_in_a_sentence(
    environment: dict[str, str], arguments: tuple[str, ...], sentence: str
) -> None:
    status, _, err = await said(environment, *arguments)
    assert status == 1
    assert sentence in err
    assert "Traceback" not in err


async def test_a_database_that_is_down_is_said_in_a_sentence(environment: dict[str, str]) -> None:
    nobody = {"COFFEE_DATABASE_URL": f"postgresql://u:hunter2@127.0.0.1:{free_port()}/x"}
    status, out, err = await said(environment | nobody, "modules", "--only", "copper", "--port", str(free_port()))
    assert status == 1
    assert "coffee: " in err
    assert "hunter2" not in out + err


async def test_startup_is_red_until_the_migrations_are_applied(environment: dict[str, str], database_url: str) -> None:
    async with fresh_database(database_url) as empty:
        port = free_port()
        process = await coffee(
            environment | {"COFFEE_DATABASE_URL": empty}, "modules", "--only", "copper", "--port", str(port)
        )
        try:
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                await answering(process, client, 503)
                assert "run `coffee migrate`" in (await client.get("/health/startup")).text
                assert (await client.get("/health/live")).status_code == 200
                await upgrade(empty, [FRAMEWORK], lambda _: None)
                await answering(process, client, 200)
        finally:
            process.kill()
            await process.wait()


async def test_routes_are_listed_with_who_may_call_them(environment: dict[str, str]) -> None:
    status, out, _ = await said(environment, "routes", "--module", "copper")
    assert status == 0
    assert [line.split() for line in out.splitlines()] == [
        ["GET", "/copper-service/api/kettle", "public", "copper_boil"],
        ["GET", "/copper-service/api/kettle/slow", "public", "copper_slow"],
        ["GET", "/copper-service/api/kettle/{id}", "session", "copper_get"],
        ["POST", "/copper-service/api/kettle/{id}/brew", "plan", "SAAS", "copper_brew"],
    ]


async def test_the_description_is_printed_or_written_without_any_server(
    environment: dict[str, str], tmp_path: Path
) -> None:
    without = {name: value for name, value in environment.items() if name != "COFFEE_DATABASE_URL"}
    status, out, _ = await said(without, "openapi", "--module", "copper", "--module", "steel")
    assert status == 0
    described = orjson.loads(out)
    assert len(described["paths"]) == 8
    assert [str(error) for error in OpenAPIV31SpecValidator(described).iter_errors()] == []
    file = tmp_path / "openapi.json"
    await said(without, "openapi", "--module", "copper", "--plan", "FREE", "--output", str(file))
    assert len(orjson.loads(file.read_bytes())["paths"]) == 3
