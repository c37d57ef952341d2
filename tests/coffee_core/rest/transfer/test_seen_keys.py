"""A key that comes twice is found with the line on which it was first, wherever the keys are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, StrEnum
from itertools import islice
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.rest.transfer import seen_keys
from coffee_core.rest.transfer.seen_keys import Key, SeenKeys
from tests.coffee_core.rest.transfer.rig import Caller


class Colour(StrEnum):
    RED = "red"


class Size(Enum):
    SMALL = "small"


ZONES = st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))
NUMBERS = st.integers(-3, 3)
HALVES = st.integers(-4, 4).map(lambda n: n / 2)
PARTS = st.one_of(
    st.sampled_from(["", "a", "b", "red", "small", "1", "\0", "\ud800", "', 'a", "2024-01-01"]),
    st.sampled_from([Colour.RED, Size.SMALL, True, False, b"a", b"\0", UUID(int=1), UUID(int=2), (), ("a",)]),
    NUMBERS,
    HALVES,
    HALVES.map(Decimal),
    st.sampled_from([10**50, 1e50, Decimal(10**50), float("inf"), Decimal("-Infinity"), Decimal("1.00"), -0.0]),
    st.dates(date(2024, 1, 1), date(2024, 1, 2)),
    st.integers(0, 30).map(lambda hours: datetime(2024, 1, 1) + timedelta(hours=hours)),  # noqa: DTZ001  # a wall clock's
    st.datetimes(timezones=ZONES),
    st.sampled_from([datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), datetime.max]),  # noqa: DTZ901
    st.tuples(st.integers(0, 2), ZONES).map(
        lambda given: (datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(hours=given[0])).astimezone(given[1])
    ),
)
KEYS = st.lists(st.one_of(st.tuples(PARTS), st.tuples(PARTS, PARTS)), max_size=60)


async def first_lines(keys: Sequence[Key], kept: int, sizes: Sequence[int]) -> tuple[list[int], int]:
    """Asked in blocks of `sizes`, over and over."""
    found: list[int] = []
    lines, each = iter(range(2, len(keys) + 2)), iter(keys)
    async with SeenKeys(kept) as seen:
        at = 0
        while block := list(islice(each, sizes[at % len(sizes)])):
            found += await seen.first_lines(block, list(islice(lines, len(block))))
            at += 1
        return found, len(seen)


@given(KEYS, st.integers(0, 20), st.lists(st.integers(1, 15), min_size=1, max_size=4))
async def test_whether_keys_are_in_memory_or_in_a_file_is_all_the_same(
    keys: list[Key], kept: int, sizes: list[int]
) -> None:
    known: dict[Key, int] = {}
    expected = [known.setdefault(key, line) for line, key in enumerate(keys, 2)]
    assert await first_lines(keys, kept, sizes) == (expected, len(known))
    assert await first_lines(keys, len(keys), sizes) == (expected, len(known))


async def test_many_keys_are_asked_for_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_keys, "ASKED_AT_ONCE", 3)
    keys: list[Key] = [(f"k{n % 10}",) for n in range(25)]
    found, count = await first_lines(keys, 0, [11])
    assert (found, count) == ([2 + n % 10 for n in range(25)], 10)


def temporary_files() -> list[str]:
    """The files of this process that have no name any more, as the database's temporary ones."""
    found: list[str] = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:  # the one that this reading itself has opened
            continue
        if target.endswith(" (deleted)") and "etilqs" in target:
            found.append(target)
    return found


def some(count: int) -> Iterator[tuple[list[Key], list[int]]]:
    for start in range(0, count, 1000):
        yield [(f"key {n}",) for n in range(start, start + 1000)], list(range(start + 2, start + 1002))


async def test_the_file_has_no_name_and_is_gone_whatever_happens() -> None:
    async def fail() -> None:
        async with SeenKeys(10) as seen:
            for keys, lines in some(300_000):
                await seen.first_lines(keys, lines)
            assert len(temporary_files()) == 1
            raise RuntimeError("the import fails")

    with pytest.raises(RuntimeError, match="the import fails"):
        await fail()
    assert temporary_files() == []


async def test_an_import_that_is_cancelled_leaves_no_file() -> None:
    async def run() -> None:
        async with SeenKeys(10) as seen:
            for keys, lines in some(300_000):
                await seen.first_lines(keys, lines)
            filled.set()
            await seen.first_lines([("last",)], [1])
            await asyncio.Event().wait()

    filled = asyncio.Event()
    running = asyncio.create_task(run())
    await filled.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert temporary_files() == []


@pytest.mark.parametrize("kept", [0, 3, 1000])
async def test_an_import_answers_the_same_wherever_its_keys_are_kept(city: Caller, kept: int) -> None:
    importer = city.api.transfer._importer
    assert importer is not None
    importer.settings = importer.settings.model_copy(update={"import_keys_kept": kept, "import_rows_max": 8})
    codes = [b"a", b"b", b"c", b"", b"d", b"e", b"a", b"e", b"f", b"g"]
    answer = await city.load(b"code,name\n" + b"".join(b"%b,N\n" % code for code in codes))
    assert (answer["created"], answer["refused"]) == (7, 3)
    assert [(one["line"], one["reason"].rpartition(" line ")[2]) for one in answer["refusals"]][1:] == [
        (8, "2"), (9, "7"),
    ]  # fmt: skip
