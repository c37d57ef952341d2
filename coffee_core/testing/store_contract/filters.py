"""Every operator on every kind of column, NULL rules, groups, patterns, arrays."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coffee_core.domain.search import Condition, FilterType, Group, Node, all_of, any_of, none_of
from coffee_core.rest.dao_provider import ConditionShape, CountShape, FlagShape, GroupShape, NodeShape
from coffee_core.testing.store_contract.bench import Bench

NOON = datetime(2024, 2, 29, 12, 0, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)
FIRST, SECOND, THIRD = (
    uuid.UUID(f"{first:08x}-0000-4000-8000-{rest:012x}") for first, rest in ((1, 9), (2, 5), (3, 1))
)

ROWS: dict[str, dict[str, Any]] = {
    "a": {"title": "alpha", "rank": 1, "big": 1 << 40, "score": 0.5, "active": True, "seen_at": NOON},
    "b": {"title": "Beta", "rank": 2, "big": -5, "score": -1.5, "active": False, "seen_at": NOON + TICK},
    "c": {"title": "\N{LATIN SMALL LETTER E WITH ACUTE}t\N{LATIN SMALL LETTER E WITH ACUTE}", "rank": 2, "big": 0},
    "n": {},
}
"""`n` has NULL everywhere, `c` in some columns."""

TAGS = {"a": ["x", "y"], "b": ["y"], "c": ["", "a,b", "Y"], "n": []}
UIDS = {"a": FIRST, "b": SECOND, "c": THIRD}


def _is(type_: FilterType, field: str, value: object = None) -> Condition:
    return Condition(type_, field, value)


E, N, I, O = FilterType.EQ, FilterType.NE, FilterType.IN, FilterType.NOT_IN  # noqa: E741  # short: the tables are the text
GT, GTE, LT, LTE, BETWEEN = FilterType.GT, FilterType.GTE, FilterType.LT, FilterType.LTE, FilterType.BETWEEN
HAS, ANY, LIKE, ILIKE = FilterType.ARRAY_CONTAINS, FilterType.ARRAY_OVERLAPS, FilterType.LIKE, FilterType.ILIKE
NULL, KNOWN = FilterType.IS_NULL, FilterType.NOT_NULL

COMPARED: list[tuple[Node, str]] = [
    (_is(E, "title", "alpha"), "a"),
    (_is(E, "title", "Alpha"), ""),
    (_is(N, "title", "alpha"), "bc"),
    (_is(GT, "title", "alpha"), "c"),  # by code point: "B" < "a" < "\u00e9"
    (_is(GTE, "title", "alpha"), "ac"),
    (_is(LT, "title", "alpha"), "b"),
    (_is(LTE, "title", "alpha"), "ab"),
    (_is(BETWEEN, "title", ("Beta", "alpha")), "ab"),
    (_is(I, "title", ["alpha", "none", "Beta"]), "ab"),
    (_is(I, "title", []), ""),
    (_is(O, "title", ["alpha"]), "bc"),
    (_is(O, "title", []), "abc"),
    (_is(NULL, "title"), "n"),
    (_is(KNOWN, "title"), "abc"),
    (_is(E, "rank", 2), "bc"),
    (_is(N, "rank", 2), "a"),
    (_is(GT, "rank", 1), "bc"),
    (_is(GTE, "rank", 1), "abc"),
    (_is(LT, "rank", 2), "a"),
    (_is(LTE, "rank", 1), "a"),
    (_is(BETWEEN, "rank", (2, 3)), "bc"),
    (_is(BETWEEN, "rank", (3, 2)), ""),
    (_is(I, "rank", [1, 7]), "a"),
    (_is(O, "rank", [1, 7]), "bc"),
    (_is(NULL, "rank"), "n"),
    (_is(GT, "big", (1 << 40) - 1), "a"),
    (_is(LT, "big", 0), "b"),
    (_is(I, "big", [0, 1 << 40]), "ac"),
    (_is(E, "score", 0.5), "a"),
    (_is(LT, "score", 0), "b"),
    (_is(BETWEEN, "score", (-1.5, 0.5)), "ab"),
    (_is(O, "score", [0.5]), "b"),
    (_is(NULL, "score"), "cn"),
    (_is(E, "active", True), "a"),
    (_is(E, "active", False), "b"),
    (_is(N, "active", True), "b"),
    (_is(I, "active", [True, False]), "ab"),
    (_is(KNOWN, "active"), "ab"),
    (_is(E, "seen_at", NOON), "a"),
    (_is(GT, "seen_at", NOON), "b"),
    (_is(BETWEEN, "seen_at", (NOON, NOON + TICK)), "ab"),
    (_is(I, "seen_at", [NOON + TICK]), "b"),
    (_is(O, "seen_at", [NOON + TICK]), "a"),
    (_is(LT, "seen_at", NOON), ""),
    (_is(E, "uid", SECOND), "b"),
    (_is(GT, "uid", FIRST), "bc"),
    (_is(BETWEEN, "uid", (SECOND, THIRD)), "bc"),
    (_is(I, "uid", [FIRST, THIRD]), "ac"),
    (_is(N, "uid", THIRD), "ab"),
    (_is(HAS, "tags", ["y"]), "ab"),
    (_is(HAS, "tags", ["y", "x"]), "a"),
    (_is(HAS, "tags", ["a,b", ""]), "c"),
    (_is(HAS, "tags", []), "abcn"),
    (_is(ANY, "tags", ["x", "Y"]), "ac"),
    (_is(ANY, "tags", ["z"]), ""),
    (_is(ANY, "tags", []), ""),
    (_is(KNOWN, "tags"), "abcn"),
]

GROUPED: list[tuple[Node, str]] = [
    (all_of(), "abcn"),
    (any_of(), ""),
    (none_of(any_of()), "abcn"),
    (all_of(_is(E, "rank", 2), _is(E, "active", False)), "b"),
    (any_of(_is(E, "rank", 1), _is(NULL, "rank")), "an"),
    (none_of(_is(E, "rank", 2)), "an"),  # what is unknown does not hold: its opposite does
    (none_of(_is(N, "rank", 2)), "bcn"),
    (none_of(none_of(_is(E, "rank", 2))), "bc"),
    (none_of(all_of(_is(E, "rank", 2), _is(E, "active", False))), "acn"),
    (none_of(any_of(_is(E, "rank", 1), _is(E, "active", False))), "cn"),
    (any_of(all_of(_is(E, "rank", 2), none_of(_is(NULL, "active"))), _is(E, "title", "alpha")), "ab"),
    (none_of(_is(I, "rank", [])), "abcn"),
    (none_of(_is(O, "rank", [])), "n"),
    (none_of(_is(HAS, "tags", ["y"])), "cn"),
    (any_of(any_of(any_of(all_of(_is(E, "rank", 1))))), "a"),
]

TEXTS = {
    "plain": "a%b",
    "score": "a_b",
    "slash": "a\\b",
    "lines": "a\nb",
    "long": "axxb",
    "upper": "AXB",
    "wide": "\N{PILE OF POO}",
    "accent": "\N{LATIN CAPITAL LETTER A WITH DIAERESIS}XB",
    "empty": "",
    "brackets": "a[b]{c:String}(.*)+?^$|",
}

PATTERNS: list[tuple[FilterType, str, set[str]]] = [
    (LIKE, "a%b", {"plain", "score", "slash", "lines", "long"}),
    (LIKE, "a_b", {"plain", "score", "slash", "lines"}),
    (LIKE, "a\\%b", {"plain"}),
    (LIKE, "a\\_b", {"score"}),
    (LIKE, "a\\\\b", {"slash"}),
    (LIKE, "\\a\\\nb", {"lines"}),
    (LIKE, "%", set(TEXTS)),
    (LIKE, "_", {"wide"}),
    (LIKE, "", {"empty"}),
    (LIKE, "a", set()),
    (LIKE, "%[b]{c:String}(.*)+?^$|", {"brackets"}),
    (LIKE, "a[b]%", {"brackets"}),
    (LIKE, "A%", {"upper"}),
    (ILIKE, "a_B", {"plain", "score", "slash", "lines", "upper"}),
    (ILIKE, "A\\%B", {"plain"}),
    (ILIKE, "\N{LATIN SMALL LETTER A WITH DIAERESIS}%", {"accent"}),
    (ILIKE, "%C:string%", {"brackets"}),
]


def _name(one: object) -> str:
    if isinstance(one, Condition):
        return f"{one.type} {one.field} {one.value!r}"
    if isinstance(one, Group):
        return f"{one.op}({', '.join(map(_name, one.parts))})"
    return f"-> {one or 'nothing'}"


class FiltersContract:
    """See `DaoProviderContract`."""

    @pytest.mark.parametrize(("where", "matching"), COMPARED, ids=_name)
    async def test_an_operator_matches_what_it_says(self, bench: Bench, where: Condition, matching: str) -> None:
        if where.field == "uid":
            where = await self._with_uids(bench, where)
        else:
            await _add_rows(bench)
        assert "".join(await bench.codes(where)) == matching
        assert await bench.count(where) == len(matching)

    @staticmethod
    async def _with_uids(bench: Bench, where: Condition) -> Condition:
        """UUIDs are unique for all partners: the partner's number makes them this test's own."""
        own: dict[uuid.UUID, uuid.UUID] = {}
        for code, uid in UIDS.items():
            own[uid] = uuid.UUID(int=uid.int ^ (bench.partner << 8) ^ 0xFF)
            await bench.add(code, uid=own[uid])
        value = where.value
        mapped = own[value] if isinstance(value, uuid.UUID) else [own[one] for one in value]  # type: ignore[attr-defined]  # a list, in these cases
        return Condition(where.type, where.field, mapped)

    @pytest.mark.parametrize(("where", "matching"), GROUPED, ids=_name)
    async def test_groups_are_two_valued(self, bench: Bench, where: Node, matching: str) -> None:
        await _add_rows(bench)
        assert "".join(await bench.codes(where)) == matching
        assert await bench.count(where) == len(matching)

    @pytest.mark.parametrize("type_", [t for t in FilterType if t not in (NULL, KNOWN)], ids=str)
    async def test_a_null_value_matches_nothing(self, bench: Bench, type_: FilterType) -> None:
        await _add_rows(bench)
        field = "tags" if type_ in (HAS, ANY) else "title"
        assert await bench.codes(Condition(type_, field, (None, "x") if type_ is BETWEEN else None)) == []

    async def test_patterns_escape_with_a_backslash(self, bench: Bench) -> None:
        for code, title in TEXTS.items():
            await bench.add(code, title=title)
        await bench.add("null", title=None)
        for type_, pattern, matching in PATTERNS:
            assert set(await bench.codes(Condition(type_, "title", pattern))) == matching, (type_, pattern)

    async def test_a_float_is_compared_to_the_last_bit(self, bench: Bench) -> None:
        exact = [1.4215635598645862e-164, 0.1 + 0.2, 5e-324, 1.7976931348623157e308, -2.2250738585072014e-308]
        for at, score in enumerate(exact):
            await bench.add(str(at), score=score)
        for at, score in enumerate(exact):
            assert await bench.codes(_is(E, "score", score)) == [str(at)], score
            assert await bench.codes(_is(I, "score", [score, 7.0])) == [str(at)], score
            assert await bench.codes(_is(N, "score", score)) == [str(n) for n in range(5) if n != at], score
        await bench.add("zero", score=-0.0)
        assert await bench.codes(_is(E, "score", 0.0)) == await bench.codes(_is(I, "score", [0.0])) == ["zero"]

    async def test_a_flag_takes_no_value(self, bench: Bench) -> None:
        await bench.add("yes", active=True)
        await bench.add("no", active=False)
        await bench.add("null", active=None)
        counts = [await self._flagged(bench, FlagShape("active", value)) for value in (True, False)]
        assert counts == [1, 1]

    @staticmethod
    async def _flagged(bench: Bench, flag: NodeShape) -> int:
        async with bench.acting():
            where = GroupShape("and", (ConditionShape(FilterType.EQ, "partner_id"), flag))
            (row,) = await bench.provider.run(bench.provider.plan(CountShape(where)), [bench.partner])
            return int(row[0])


async def _add_rows(bench: Bench) -> None:
    for code, row in ROWS.items():
        await bench.add(code, tags=TAGS[code], **row)
