"""Order, pages, counts, free text, streams."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coffee_core.domain.search import CountMode, Cursor, SearchQuery, path
from coffee_core.testing.store_contract.bench import Bench
from coffee_core.testing.store_contract.sample import Sample

START = datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)

ASCENDING: dict[str, list[Any]] = {
    "title": ["", "A", "Z", "a", "a ", "ab", "b", "\u00e9", "\uffef", "\N{PILE OF POO}"],
    "rank": [-(1 << 31), -1, 0, 1, (1 << 31) - 1],
    "big": [-(1 << 63), -1, 0, 1 << 53, (1 << 53) + 1, (1 << 63) - 1],
    "score": [-1e300, -1.5, -1e-300, 0.0, 0.1, 0.1 + 2**-53, 1e300],
    "active": [False, True],
    "seen_at": [START + timedelta(microseconds=step) for step in (-(10**12), 0, 1, 2, 10**12)],
}
"""Values of each sortable type, the lowest first."""


class PagingContract:
    """See `DaoProviderContract`."""

    @pytest.mark.parametrize("field", ASCENDING)
    async def test_rows_are_sorted_with_nulls_last_in_both_directions(self, bench: Bench, field: str) -> None:
        values = ASCENDING[field]
        codes = {f"{at:02}": value for at, value in enumerate(values)}
        mixed = [*codes.items(), ("null1", None), ("null2", None)]
        random.Random(7).shuffle(mixed)  # noqa: S311  # the same order each time
        for code, value in mixed:
            await bench.add(code, **{field: value})
        nulls = [code for code, value in mixed if value is None]
        assert await bench.codes(sort_by=field) == [*sorted(codes), *nulls]
        assert await bench.codes(sort_by=field, descending=True) == [*sorted(codes, reverse=True), *nulls[::-1]]

    async def test_uuids_are_sorted_by_their_digits(self, bench: Bench) -> None:
        uids = [uuid.UUID(int=(at << 120) | (bench.partner << 16) | (9 - at)) for at in range(5)]
        for uid in (uids[3], uids[0], uids[4], uids[1], uids[2]):
            await bench.add(str(uids.index(uid)), uid=uid)
        assert "".join(await bench.codes(sort_by="uid")) == "01234"
        assert "".join(await bench.codes(sort_by="uid", descending=True)) == "43210"

    async def test_ties_are_broken_by_id_in_the_direction_of_the_sort(self, bench: Bench) -> None:
        for code in "abcd":
            await bench.add(code, rank=1 if code in "abc" else 0)
        assert "".join(await bench.codes(sort_by="rank")) == "dabc"
        assert "".join(await bench.codes(sort_by="rank", descending=True)) == "cbad"
        assert "".join(await bench.codes()) == "abcd"
        assert "".join(await bench.codes(descending=True)) == "dcba"

    @pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
    @pytest.mark.parametrize("field", ["id", "code", "created_at", *ASCENDING])
    async def test_pages_together_equal_the_whole(self, bench: Bench, field: str, descending: bool) -> None:
        """By number and by cursor at every page size, and on the way back."""
        values = [*ASCENDING.get(field, []), *ASCENDING.get(field, [])[:2]]
        rows = [{field: value} for value in [*values, None, None, None]] if field in ASCENDING else [{}] * 7
        for row in rows:
            await bench.add(**row)
        order: dict[str, Any] = {"sort_by": field, "descending": descending}
        whole = await bench.codes(**order, size=1000)
        assert len(set(whole)) == len(rows)
        for size in (1, 2, 3, len(rows) - 1, len(rows), len(rows) + 1):
            by_cursor = await bench.pages(size=size, **order)
            assert [one.code for page in by_cursor for one in page] == whole, size
            by_number = [await bench.codes(**order, page=at, size=size) for at in range(1, len(rows) // size + 3)]
            assert [code for page in by_number for code in page] == whole, size
        forth = await bench.pages(size=2, **order)
        back = await bench.pages_back(forth, size=2, **order)
        assert [[one.code for one in page] for page in back] == [[one.code for one in page] for page in forth[:-1]]

    async def test_a_cursor_stays_right_while_rows_come_and_go(self, bench: Bench) -> None:
        for code, rank in (("b", 2), ("d", 4), ("f", 6), ("null", None)):
            await bench.add(code, rank=rank)
        first = await bench.search(SearchQuery(sort_by="rank", size=2))
        assert [one.code for one in first] == ["b", "d"]
        await bench.add("a", rank=1)
        await bench.add("e", rank=5)
        if bench.features.updates:
            await bench.remove(first[1].id)  # the very row that the cursor stands on
        rest = await bench.codes(sort_by="rank", size=10, after=Cursor(4, first[1].id))
        assert rest == ["e", "f", "null"]

    @pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
    @pytest.mark.parametrize("field", ["id", "title", "rank"])
    async def test_a_place_is_before_or_behind_its_row_and_read_from_both_ways(
        self, bench: Bench, field: str, descending: bool
    ) -> None:
        for code, value in (("a", 1), ("b", None), ("c", 2), ("d", 2), ("e", None), ("f", 0)):
            await bench.add(code, rank=value, title=None if value is None else f"t{value}")
        order: dict[str, Any] = {"sort_by": field, "descending": descending}
        whole = await bench.search(SearchQuery(**order))
        codes = [one.code for one in whole]
        for at, row in enumerate(whole):
            for before, place in ((True, at), (False, at + 1)):
                onwards = Cursor(getattr(row, field), row.id, before=before)
                assert await bench.codes(**order, size=2, after=onwards) == codes[place : place + 2]
                back = Cursor(getattr(row, field), row.id, before=before, backwards=True)
                assert await bench.codes(**order, size=2, after=back) == codes[max(0, place - 2) : place]

    async def test_on_the_way_back_too_rows_come_and_go(self, bench: Bench) -> None:
        for code, rank in (("b", 2), ("d", 4), ("f", 6), ("null", None)):
            await bench.add(code, rank=rank)
        *_, last = await bench.search(SearchQuery(sort_by="rank"))
        await bench.add("c", rank=3)
        if bench.features.updates:
            await bench.remove(last.id)  # the very row that the cursor stands on
        back = Cursor(None, last.id, before=True, backwards=True)
        assert await bench.codes(sort_by="rank", size=3, after=back) == ["c", "d", "f"]

    async def test_a_page_behind_the_last_row_is_empty(self, bench: Bench) -> None:
        await bench.add("a")
        assert await bench.codes(page=2, size=10) == []
        assert await bench.codes(page=10**12, size=100) == []

    async def test_the_count_is_of_all_that_match(self, bench: Bench) -> None:
        for rank in range(7):
            await bench.add(rank=rank)
        assert await bench.count() == 7
        assert await bench.count(path(Sample.rank).gte(3)) == 4
        assert await bench.count(path(Sample.rank).gte(30)) == 0
        assert await bench.count(count=CountMode.ESTIMATED) >= 0

    async def test_only_the_fields_asked_for_are_read(self, bench: Bench) -> None:
        await bench.add("a", title="t", rank=1)
        (found,) = await bench.search(SearchQuery(fields=("title",)))
        assert (found.title, found.rank) == ("t", None)
        assert found.version == 1

    async def test_each_group_has_its_own_first_rows(self, bench: Bench) -> None:
        """However many groups there are, in one statement; a group of NULLs is asked for by nobody."""
        await bench.add_all(
            [
                {"code": f"{at:02}", "title": f"t{at % 3}", "rank": rank}
                for at, rank in enumerate((4, 1, None, 1, 9, 2, 0))
            ]
        )
        for descending, expected in ((False, {"t0": ["06", "03"], "t1": ["01"]}), (True, {"t0": ["00", "03"]})):
            wanted = {**dict.fromkeys(expected), "none": None}
            query = SearchQuery(where=path(Sample.rank).lt(9), sort_by="rank", descending=descending, size=2)
            async with bench.acting():
                projection = bench.dao.projection(("code",), ("title", "rank"))
                rows = await bench.dao.of_each("title", list(wanted), query, projection)
            found: dict[str, list[str]] = {}
            for one in bench.dao.entities(rows):
                found.setdefault(one.title or "", []).append(one.code)
            assert found == expected

    async def test_free_text_finds_every_word_in_any_of_the_columns(self, bench: Bench) -> None:
        """Words are parted by white space; each has to occur, whatever its case, within one of the columns."""
        await bench.add("red-apple", title="Sour And Green")
        await bench.add("pear", title="red\tand juicy")
        await bench.add("100%", title="a_b\\c")
        await bench.add("null", title=None)
        await bench.add("\u00c4rger", title="\u0416\u0443\u043a")
        expected = {
            "red": ["red-apple", "pear"],
            "  RED \n AND ": ["red-apple", "pear"],
            "apple green": ["red-apple"],
            "apple juicy": [],
            "appleSour": [],
            "%": ["100%"],
            "_": ["100%"],
            "\\": ["100%"],
            "nul": ["null"],
            "\u00e4RG \u0436\u0423": ["\u00c4rger"],
            "": ["red-apple", "pear", "100%", "null", "\u00c4rger"],
            "'; DROP TABLE sample": [],
        }
        for text, codes in expected.items():
            assert await bench.codes(text=text) == codes, text
            assert await bench.count(text=text) == len(codes), text
        assert await bench.codes(path(Sample.title).not_null(), text="red") == ["red-apple", "pear"]

    async def test_a_stream_gives_everything_in_order(self, bench: Bench) -> None:
        rows = [bench.values(f"{at:04}", rank=at % 7) for at in range(1234)]
        await bench.upsert(rows)
        assert await bench.streamed(sort_by="code", descending=True) == [f"{at:04}" for at in range(1233, -1, -1)]
        assert len(await bench.streamed(path(Sample.rank).eq(3))) == 176
        assert await bench.streamed(path(Sample.rank).eq(9)) == []

    async def test_a_stream_comes_in_batches_of_one_snapshot(self, bench: Bench) -> None:
        await bench.upsert([bench.values(f"{at:04}", title="x" * 200) for at in range(3000)])
        batches: list[int] = []
        async with bench.acting():
            async for rows in bench.dao.stream(SearchQuery(sort_by="code")):
                if not batches:
                    await bench.add("0001-inserted-behind-the-first-batch")
                    await bench.add("9999-inserted-behind-the-first-batch")
                batches.append(len(rows.rows))
        assert sum(batches) == 3000
        assert len(batches) > 1

    async def test_a_stream_may_be_left_early(self, bench: Bench) -> None:
        await bench.upsert([bench.values(f"{at:04}") for at in range(2000)])
        async with bench.acting():
            stream = bench.dao.stream(SearchQuery(sort_by="code"))
            first = await anext(stream)
            assert first.rows
            await stream.aclose()  # type: ignore[attr-defined]  # an async generator, typed as an iterator
        assert await bench.count() == 2000
