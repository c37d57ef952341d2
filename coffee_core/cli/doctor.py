"""`coffee doctor`: looks at everything that keeps a platform from running, and says what to do."""

import asyncio

import typer
from rich.console import Console

from coffee_core.cli import checks_local, checks_servers, plugins
from coffee_core.cli.findings import Check, Finding, Level, bad
from coffee_core.domain.errors import CoffeeError

CHECKS: list[Check] = [
    checks_local.check_python,
    checks_local.check_settings,
    checks_local.check_wheels,
    checks_local.check_running,
    checks_local.check_ports,
    checks_local.check_limits,
    checks_local.check_room,
    checks_servers.check_database,
    checks_servers.check_redis,
    checks_servers.check_broker,
    checks_servers.check_clickhouse,
]
"""In the order in which they are read; those of other packages follow."""

COLOURS = {Level.FINE: "green", Level.NOTE: "yellow", Level.BAD: "red"}
CHECK_SECONDS = 30.0


def doctor() -> None:
    """Look at Python, wheels, ports, limits, servers and settings, and say what to do. Status 1 if something is bad."""
    console = Console(highlight=False, soft_wrap=True)
    findings = asyncio.run(examine())
    for finding in findings:
        console.print(f"{finding.level.value} {finding.sentence}", style=COLOURS[finding.level], markup=False)
        if finding.remedy:
            console.print(f"    {finding.remedy}", markup=False)
    if any(finding.level is Level.BAD for finding in findings):
        raise typer.Exit(1)


async def examine() -> list[Finding]:
    """All findings; a check that fails is one itself."""
    findings: list[Finding] = []
    for check in [*CHECKS, *plugins.checks()]:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                findings += await check()
        except TimeoutError:
            findings.append(
                bad(f"{check.__module__}: no answer within {CHECK_SECONDS:g} s", "look at what it waits for")
            )
        except (CoffeeError, ValueError) as error:  # wrong settings among them, which `check_settings` has named
            findings.append(bad(f"{check.__module__}: {_first_line(error)}", "correct that, and ask again"))
    return findings


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
