"""Random data and random searches: the store answers what the memory store answers, in the same order."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from coffee_core.domain.search import Condition, Cursor, FilterType, Group, Node, SearchQuery
from coffee_core.stores.memory.store import MemoryStore
from coffee_core.testing.store_contract.bench import MOST_PAGES, Bench

F = FilterType
START = datetime(2024, 1, 1, tzinfo=UTC)
WORDS = (
    "",
    "a",
    "A",
    "ab",
    "aB",
    "a%b",
    "a_b",
    "a\\b",
    "b a",
    "\u00e9",
    "\u00c9",
    "\u0416",
    "\N{PILE OF POO}",
    "%",
    "_",
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "title": st.sampled_from(WORDS),
    "rank": st.sampled_from([-(1 << 31), -1, 0, 1, 2, (1 << 31) - 1]),
    "big": st.sampled_from([-(1 << 63), -1, 0, 1 << 53, (1 << 53) + 1, (1 << 63) - 1]),
    "score": st.sampled_from([-1e300, -1.5, 0.0, 0.1, 0.1 + 2**-53, 1e300])
    | st.floats(-10, 10)
    | st.floats(-1e308, 1e308),
    "active": st.booleans(),
    "seen_at": st.integers(-(10**9), 10**9).map(lambda at: START + timedelta(microseconds=at)),
}
TAGS = st.lists(st.sampled_from(["", "x", "y", "X", "a,b", "\u00e9"]), max_size=3)
SCALARS = st.sampled_from([*WORDS[:6], 0, 1, -1.5, 1e10, True, False])
DOCUMENTS = st.dictionaries(
    st.sampled_from(["k", "m", "0"]),
    st.none() | SCALARS | TAGS | st.dictionaries(st.sampled_from(["k", "0"]), SCALARS, max_size=2),
    max_size=3,
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {**{name: st.none() | value for name, value in VALUES.items()}, "tags": TAGS, "info": st.none() | DOCUMENTS}
    ),
    min_size=1,
    max_size=12,
)
PATHS = st.sampled_from([("k",), ("m",), ("0",), ("k", "k"), ("m", "0"), ("nowhere", "k")])
COMPARED = (F.EQ, F.NE, F.GT, F.GTE, F.LT, F.LTE)


def _on(field: str, value: st.SearchStrategy[Any], path: tuple[str, ...] = ()) -> st.SearchStrategy[Condition]:
    """Conditions that take values of one kind."""
    lists = st.lists(value, max_size=3)
    return st.one_of(
        st.builds(Condition, st.sampled_from(COMPARED), st.just(field), value, st.just(path)),
        st.builds(Condition, st.sampled_from([F.IN, F.NOT_IN]), st.just(field), lists, st.just(path)),
        st.builds(Condition, st.just(F.BETWEEN), st.just(field), st.tuples(value, value), st.just(path)),
        st.builds(Condition, st.sampled_from([F.IS_NULL, F.NOT_NULL]), st.just(field), st.none(), st.just(path)),
    )


def _like(field: str, path: tuple[str, ...] = ()) -> st.SearchStrategy[Condition]:
    steps = st.sampled_from(["%", "_", "\\%", "\\_", "\\\\", "a", "B", "\u00e9", "\u0436"])
    patterns = st.lists(steps, max_size=4).map("".join)
    return st.builds(Condition, st.sampled_from([F.LIKE, F.ILIKE]), st.just(field), patterns, st.just(path))


def _documents(path: tuple[str, ...]) -> st.SearchStrategy[Condition]:
    has = st.builds(
        Condition, st.sampled_from([F.ARRAY_CONTAINS, F.ARRAY_OVERLAPS]), st.just("info"), TAGS, st.just(path)
    )
    kinds = (st.sampled_from(WORDS[:6]), st.sampled_from([0, 1, -1.5, 1e10]), st.booleans())
    return st.one_of(has, _like("info", path), *(_on("info", kind, path) for kind in kinds))


CONDITIONS: st.SearchStrategy[Condition] = st.one_of(
    *(_on(name, value) for name, value in VALUES.items()),
    _like("title"),
    st.builds(Condition, st.sampled_from([F.ARRAY_CONTAINS, F.ARRAY_OVERLAPS]), st.just("tags"), TAGS),
    PATHS.flatmap(_documents),
)
NODES: st.SearchStrategy[Node] = st.recursive(
    CONDITIONS,
    lambda inner: st.one_of(
        st.builds(Group, st.sampled_from(["and", "or"]), st.lists(inner, max_size=3).map(tuple)),
        st.builds(Group, st.just("not"), st.tuples(inner)),
    ),
    max_leaves=6,
)
SEARCHES = st.fixed_dictionaries(
    {
        "where": NODES,
        "sort_by": st.sampled_from(["code", *VALUES]),
        "descending": st.booleans(),
        "text": st.none() | st.lists(st.sampled_from(["a", "B", "%", "_", "\\", "\u00c9"]), max_size=2).map(" ".join),
    }
)
EXAMPLES = settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors, HealthCheck.too_slow],
)


class AgreementContract:
    """See `DaoProviderContract`."""

    @EXAMPLES
    @given(rows=ROWS, searches=st.lists(SEARCHES, min_size=1, max_size=6), size=st.integers(1, 5))
    async def test_any_search_finds_what_the_reference_finds(
        self, bench: Bench, rows: list[dict[str, Any]], searches: list[dict[str, Any]], size: int
    ) -> None:
        here = bench.of(bench.new_partner())
        reference = Bench(MemoryStore(), bench.features, here.partner)
        given_rows = [{"code": f"{at:02}", "uid": uuid.uuid4(), **row} for at, row in enumerate(rows)]
        for one in (here, reference):
            await one.add_all(given_rows)
        for search in searches:
            expected = await reference.codes(**search, size=100)
            assert await here.codes(**search, size=100) == expected
            assert await here.count(search["where"], text=search["text"]) == len(expected)
            assert [one.code for page in await here.pages(**search, size=size) for one in page] == expected
        forth = await here.pages(**searches[0], size=size)
        back = await here.pages_back(forth, **searches[0], size=size)
        assert [[one.code for one in page] for page in back] == [[one.code for one in page] for page in forth[:-1]]

    @EXAMPLES
    @given(
        rows=ROWS,
        later=ROWS,
        sort_by=st.sampled_from(["id", *VALUES]),
        descending=st.booleans(),
        size=st.integers(1, 4),
    )
    async def test_no_row_is_skipped_or_repeated_while_others_come_in(
        self,
        bench: Bench,
        *,
        rows: list[dict[str, Any]],
        later: list[dict[str, Any]],
        sort_by: str,
        descending: bool,
        size: int,
    ) -> None:
        """One row more before each page: what was there at first is met once, in its order."""
        here = bench.of(bench.new_partner())
        await here.add_all([{"code": f"{at:02}", "uid": uuid.uuid4(), **row} for at, row in enumerate(rows)])
        whole = await here.codes(sort_by=sort_by, descending=descending, size=100)
        met: list[str] = []
        place: Cursor | None = None
        coming = iter(later)
        for _ in range(MOST_PAGES):
            page = await here.search(SearchQuery(sort_by=sort_by, descending=descending, size=size, after=place))
            met += [one.code for one in page]
            if len(page) < size:
                break
            place = Cursor(getattr(page[-1], sort_by), page[-1].id)
            if (row := next(coming, None)) is not None:
                await here.add(f"later{len(met)}", **row)
        assert len(met) == len(set(met))
        assert [code for code in met if not code.startswith("later")] == whole
