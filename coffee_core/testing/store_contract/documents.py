"""Conditions on paths into JSON documents: what is not there, or of another kind, does not match and is no error."""

from __future__ import annotations

from typing import Any

import pytest

from coffee_core.domain.search import Condition, FilterType, Node, all_of, none_of
from coffee_core.testing.store_contract.bench import Bench

DOCUMENTS: dict[str, dict[str, Any] | None] = {
    "a": {"n": 1, "t": "one", "b": True, "deep": {"n": 10, "k.k": {"": 5}}, "list": ["x", "y"], "nil": None},
    "b": {"n": 2.5, "t": "Two", "b": False, "deep": {"n": "10"}, "list": ["y", 1, None]},
    "c": {"n": "1", "t": 1, "b": "true", "deep": [{"n": 10}, 10], "list": {"x": 1, "0": 2}},
    "d": {"n": True, "t": None, "b": 1, "deep": "n", "list": "x"},
    "e": {},
    "n": None,
}


def _at(dotted: str, type_: FilterType, value: object = None) -> Condition:
    return Condition(type_, "info", value, tuple(dotted.split("/")))


F = FilterType
CASES: list[tuple[Node, str]] = [
    (_at("n", F.EQ, 1), "a"),
    (_at("n", F.EQ, 2.5), "b"),
    (_at("n", F.NE, 1), "b"),
    (_at("n", F.GT, 1), "b"),
    (_at("n", F.GTE, 1), "ab"),
    (_at("n", F.LT, 2.5), "a"),
    (_at("n", F.BETWEEN, (0, 2)), "a"),
    (_at("n", F.IN, [1, 2.5, 3]), "ab"),
    (_at("n", F.NOT_IN, [1]), "b"),
    (_at("n", F.IN, []), ""),
    (_at("n", F.EQ, "1"), "c"),
    (_at("n", F.NE, "1"), ""),
    (_at("n", F.EQ, True), "d"),
    (_at("t", F.EQ, "one"), "a"),
    (_at("t", F.NE, "one"), "b"),
    (_at("t", F.GT, "Two"), "a"),
    (_at("t", F.LIKE, "%o%"), "ab"),
    (_at("t", F.ILIKE, "T%"), "b"),
    (_at("t", F.ILIKE, "tW_"), "b"),
    (_at("t", F.IN, ["Two", "1"]), "b"),
    (_at("t", F.NOT_IN, ["Two"]), "a"),
    (_at("t", F.BETWEEN, ("Two", "one")), "ab"),
    (_at("b", F.EQ, True), "a"),
    (_at("b", F.EQ, False), "b"),
    (_at("b", F.NE, True), "b"),
    (_at("b", F.EQ, 1), "d"),
    (_at("b", F.EQ, "true"), "c"),
    (_at("b", F.IN, [True, False]), "ab"),
    (_at("deep/n", F.EQ, 10), "a"),
    (_at("deep/n", F.EQ, "10"), "b"),
    (_at("deep/k.k/", F.EQ, 5), "a"),
    (_at("deep/0/n", F.EQ, 10), ""),
    (_at("deep/1", F.EQ, 10), ""),
    (_at("list/0", F.EQ, "x"), ""),
    (_at("list/0", F.EQ, 2), "c"),
    (_at("list/-1", F.EQ, "y"), ""),
    (_at("t/x", F.NOT_NULL), ""),
    (_at("n", F.IS_NULL), "en"),
    (_at("t", F.IS_NULL), "den"),
    (_at("nil", F.IS_NULL), "abcden"),
    (_at("deep/n", F.IS_NULL), "cden"),
    (_at("deep/n", F.NOT_NULL), "ab"),
    (_at("nowhere/at/all", F.IS_NULL), "abcden"),
    (_at("list", F.ARRAY_CONTAINS, ["y"]), "ab"),
    (_at("list", F.ARRAY_CONTAINS, ["x", "y"]), "a"),
    (_at("list", F.ARRAY_CONTAINS, ["1"]), ""),
    (_at("list", F.ARRAY_OVERLAPS, ["x", "z"]), "a"),
    (_at("list", F.ARRAY_OVERLAPS, []), ""),
    (_at("list", F.ARRAY_CONTAINS, []), "ab"),
    (_at("t", F.ARRAY_CONTAINS, ["one"]), ""),
    (none_of(_at("n", F.EQ, 1)), "bcden"),
    (none_of(_at("n", F.NE, 1)), "acden"),
    (all_of(_at("n", F.NOT_NULL), none_of(_at("n", F.GTE, 0))), "cd"),
    (Condition(F.IS_NULL, "info"), "n"),
    (Condition(F.NOT_NULL, "info"), "abcde"),
]


def _name(one: object) -> str:
    if isinstance(one, Condition):
        return f"{'/'.join(one.path)} {one.type} {one.value!r}"
    return f"-> {one or 'nothing'}" if isinstance(one, str) else "group"


class DocumentsContract:
    """See `DaoProviderContract`."""

    @pytest.mark.parametrize(("where", "matching"), CASES, ids=_name)
    async def test_a_path_matches_by_kind(self, bench: Bench, where: Node, matching: str) -> None:
        for code, info in DOCUMENTS.items():
            await bench.add(code, info=info)
        assert "".join(await bench.codes(where)) == matching
        assert await bench.count(where) == len(matching)

    async def test_a_step_of_a_path_is_taken_literally(self, bench: Bench) -> None:
        hostile = [
            "a'b",
            'a"b',
            "a\\b",
            "a,b",
            "{a}",
            "$.a",
            "a b",
            "%s",
            ":a",
            "?",
            "\N{PILE OF POO}",
            "null",
            "{a:String}",
        ]
        await bench.add("a", info={step: {step: 1} for step in hostile})
        await bench.add("b", info={"x": 1})
        for step in hostile:
            assert await bench.codes(Condition(F.EQ, "info", 1, (step, step))) == ["a"], step

    async def test_texts_in_documents_compare_by_code_point(self, bench: Bench) -> None:
        for code, text in {
            "a": "Z",
            "b": "a",
            "c": "\N{LATIN SMALL LETTER E WITH ACUTE}",
            "d": "\N{PILE OF POO}",
        }.items():
            await bench.add(code, info={"t": text})
        assert "".join(await bench.codes(_at("t", F.GT, "a"))) == "cd"
        assert "".join(await bench.codes(_at("t", F.LT, "\N{PILE OF POO}"))) == "abc"
