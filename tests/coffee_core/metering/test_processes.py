"""No more than the limit is granted by any number of processes, whatever becomes of them."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from coffee_core.stores.postgres.store import PostgresStore
from tests.coffee_core.metering.tables import TABLES
from tests.coffee_core.rest.sample import connection

ROOT = Path(__file__).parents[3]
PARTNERS = itertools.count(7_900_000)
LIMIT, TASKS = 150, 8


@asynccontextmanager
async def user(url: str, partner: int, *more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    arguments = ["-m", "tests.coffee_core.metering.user_program", url, str(partner), str(LIMIT), str(TASKS), *more]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def begin(*processes: asyncio.subprocess.Process) -> None:
    """Let those that are ready go on: one that is started last would find nothing left."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")


async def granted(process: asyncio.subprocess.Process) -> int:
    """How many uses the process had told of when it ended."""
    out, _ = await process.communicate()
    return out.count(b"granted\n")


async def consumed(url: str, partner: int) -> int:
    async with connection(url) as raw:
        return int(
            await raw.fetchval(
                f"SELECT coalesce(sum(consumed), 0) FROM {TABLES.counters} WHERE partner_id = $1", partner
            )
        )


async def test_processes_that_compete_share_the_limit_and_one_that_is_killed_takes_nothing_with_it(
    metered_store: PostgresStore,
) -> None:
    url, partner = metered_store.pool.url, next(PARTNERS)
    async with user(url, partner) as first, user(url, partner) as second, user(url, partner) as third:
        begin(first, second, third)
        assert third.stdout is not None
        assert await third.stdout.readline() == b"granted\n"
        third.kill()
        told = [1 + await granted(third), await granted(first), await granted(second)]
    assert await consumed(url, partner) == LIMIT
    assert LIMIT - TASKS <= sum(told) <= LIMIT  # what was committed in the moment of its death it could not tell


async def test_what_a_killed_process_had_counted_and_not_committed_was_never_counted(
    metered_store: PostgresStore,
) -> None:
    url, partner = metered_store.pool.url, next(PARTNERS)
    async with user(url, partner, "hold") as process:
        begin(process)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"held\n"
        process.kill()
        await process.wait()
    async with user(url, partner) as other:
        begin(other)
        assert await granted(other) == LIMIT
    assert await consumed(url, partner) == LIMIT
