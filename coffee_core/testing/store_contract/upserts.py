"""Many rows at once: created, changed, unchanged, and never another partner's."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from coffee_core.domain.errors import ConflictError, InputError
from coffee_core.testing.store_contract.bench import Bench
from coffee_core.testing.store_contract.writes import EVERY_TYPE

LONG_AGO = datetime(2001, 2, 3, tzinfo=UTC)
KEY = ("partner_id", "code")


class UpsertContract:
    """See `DaoProviderContract`."""

    async def test_many_rows_are_inserted_at_once(self, bench: Bench) -> None:
        rows = [bench.values(f"{n:03}", **EVERY_TYPE) for n in range(100)]
        assert await bench.upsert(rows) == {f"{n:03}": True for n in range(100)}
        stored = next(one for one in await bench.all() if one.code == "042")
        assert {name: getattr(stored, name) for name in EVERY_TYPE} == EVERY_TYPE
        assert (stored.partner_id, stored.version, stored.enabled) == (bench.partner, 1, True)
        assert len({one.id for one in await bench.all()}) == 100

    @pytest.mark.parametrize("also", [{}, {"tags": ["x"]}], ids=["plain columns", "a list among them"])
    async def test_rows_inserted_at_once_are_answered_and_numbered_in_their_order(
        self, bench: Bench, also: dict[str, Any]
    ) -> None:
        codes = [f"{n * 7919 % 1009:04}" for n in range(1009)]
        written = await bench.upsert([bench.values(code, rank=n, **also) for n, code in enumerate(codes)])
        assert list(written.items()) == [(code, True) for code in codes]
        assert [one.code for one in await bench.all()] == codes

    async def test_rows_of_plain_columns_are_stored_as_they_are(self, bench: Bench) -> None:
        plain = {name: value for name, value in EVERY_TYPE.items() if not isinstance(value, list)}
        awkward = {"title": 'a,"b"\\{}\nNULL', "info": {"k": 'x"\\'}}
        rows = [bench.values("a", **plain), bench.values("b", **plain | awkward)]
        rows.append(bench.values("c", **dict.fromkeys(plain)))
        assert await bench.upsert(rows) == {"a": True, "b": True, "c": True}
        a, b, c = await bench.all()
        assert {name: getattr(a, name) for name in plain} == plain
        assert {name: getattr(b, name) for name in plain} == plain | awkward
        assert {getattr(c, name) for name in plain} == {None}
        if bench.features.updates:
            assert await bench.upsert(rows, *KEY) == {}, "written again they are equal"

    async def test_created_and_changed_are_answered_and_unchanged_is_not(self, bench: Bench) -> None:
        bench.needs(updates=True)
        same, old = bench.values("same", rank=1, info={"a": 1, "b": [True]}), bench.values("old", rank=1, info=None)
        await bench.upsert([same, old], *KEY)
        new = bench.values("new", rank=1, info=None)
        again = {**same, "info": {"b": [True], "a": 1.0}}
        assert await bench.upsert([again, {**old, "rank": 2}, new], *KEY) == {"old": False, "new": True}
        versions = {one.code: (one.rank, one.version) for one in await bench.all()}
        assert versions == {"same": (1, 1), "old": (2, 2), "new": (1, 1)}

    async def test_an_upsert_keeps_the_id_and_what_it_does_not_name(self, bench: Bench) -> None:
        bench.needs(updates=True)
        added = await bench.add("a", rank=1, title="kept", created_at=LONG_AGO, updated_at=LONG_AGO)
        await bench.upsert([{"code": "a", "uid": added.uid, "rank": 2}], *KEY)
        stored = await bench.get(added.id)
        assert stored is not None
        assert (stored.rank, stored.title, stored.created_at) == (2, "kept", LONG_AGO)
        assert stored.updated_at > LONG_AGO

    async def test_a_value_and_null_are_different(self, bench: Bench) -> None:
        bench.needs(updates=True)
        row = bench.values("a", rank=1, title=None)
        await bench.upsert([row], *KEY)
        assert await bench.upsert([{**row, "rank": None}], *KEY) == {"a": False}
        assert await bench.upsert([{**row, "rank": None}], *KEY) == {}
        assert await bench.upsert([{**row, "rank": None, "title": ""}], *KEY) == {"a": False}

    async def test_a_true_and_a_one_in_a_document_are_different(self, bench: Bench) -> None:
        bench.needs(updates=True)
        row = bench.values("a", info={"a": 1})
        await bench.upsert([row], *KEY)
        assert await bench.upsert([{**row, "info": {"a": True}}], *KEY) == {"a": False}

    async def test_another_partners_row_is_never_touched(self, bench: Bench) -> None:
        bench.needs(updates=True)
        uid = uuid.uuid4()
        stranger = bench.of(bench.partner + 1)
        theirs = await stranger.add("theirs", uid=uid, rank=1)
        assert await bench.upsert([{"code": "mine", "uid": uid, "rank": 2}], "uid") == {}
        stored = await stranger.get(theirs.id)
        assert stored is not None
        assert (stored.code, stored.rank, stored.version, stored.partner_id) == ("theirs", 1, 1, stranger.partner)
        assert await bench.count() == 0

    async def test_the_same_key_twice_in_one_write_is_refused(self, bench: Bench) -> None:
        bench.needs(updates=True, unique_keys=True)
        with pytest.raises(InputError):
            await bench.upsert([bench.values("a", rank=1), bench.values("a", rank=2)], *KEY)
        assert await bench.count() == 0

    async def test_one_bad_row_stops_all_of_them(self, bench: Bench) -> None:
        for bad in ({"rank": "many"}, {"rank": 1 << 40}, {"tags": None}, {"title": "a\0b"}):
            good = {"rank": 1, "tags": ["x"], "title": "t"}
            with pytest.raises(InputError):
                await bench.upsert([bench.values("a", **good), bench.values("b", **{**good, **bad})])
            few = {"uid": "no uuid"} if "tags" in bad else bad
            plain = {"rank": 1, "title": "t"}
            with pytest.raises(InputError):
                await bench.upsert([bench.values("a", **plain), bench.values("b", **plain) | few])
        assert await bench.count() == 0

    async def test_a_conflict_with_another_key_stops_all_of_them(self, bench: Bench) -> None:
        bench.needs(unique_keys=True)
        taken = await bench.add("taken")
        with pytest.raises(ConflictError):
            await bench.upsert([bench.values("a"), {"code": "b", "uid": taken.uid}], *KEY)
        assert await bench.codes() == ["taken"]

    async def test_rows_may_name_their_columns_in_any_order(self, bench: Bench) -> None:
        first = {"code": "a", "uid": uuid.uuid4(), "title": "t1", "rank": 1}
        await bench.upsert([first, {"rank": 2, "title": "t2", "uid": uuid.uuid4(), "code": "b"}])
        assert [(one.code, one.title, one.rank) for one in await bench.all()] == [("a", "t1", 1), ("b", "t2", 2)]
        with pytest.raises(TypeError, match="same columns"):
            await bench.upsert([first, {"code": "c", "title": "t3"}])

    async def test_nothing_to_write_is_no_error(self, bench: Bench) -> None:
        assert await bench.upsert([], *KEY) == {}
