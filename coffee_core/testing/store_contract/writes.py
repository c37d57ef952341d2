"""Insert, update, delete: what is answered, what is counted, what another partner sees of it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from coffee_core.domain.errors import ConflictError, InputError, VersionMismatchError
from coffee_core.domain.search import Condition, FilterType, path
from coffee_core.testing.store_contract.bench import Bench
from coffee_core.testing.store_contract.sample import Sample

LONG_AGO = datetime(2001, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)

EVERY_TYPE: dict[str, Any] = {
    "title": "Ünïcode \\ % _ ' \" ` \t\r\n {x:String} %(x)s $1 \N{PILE OF POO}",
    "rank": -(1 << 31),
    "big": (1 << 63) - 1,
    "score": -0.1,
    "active": False,
    "seen_at": LONG_AGO,
    "info": {"a": [1, 2.5, None, True, "x\\y\n"], "ключ": {"": {}}, "n": 1 << 40},
    "tags": ["", "a,b", "{}", "'\"\\", "\N{PILE OF POO}"],
}


class WritesContract:
    """See `DaoProviderContract`."""

    async def test_an_insert_answers_the_row_as_it_is_stored(self, bench: Bench) -> None:
        added = await bench.add("a", **EVERY_TYPE)
        assert (added.code, added.partner_id, added.version, added.enabled) == ("a", bench.partner, 1, True)
        assert isinstance(added.id, int)
        for stored in (added, await bench.get(added.id)):
            assert stored is not None
            assert {name: getattr(stored, name) for name in EVERY_TYPE} == EVERY_TYPE
            assert stored.seen_at is not None
            assert stored.seen_at.utcoffset() == timedelta(0)

    async def test_what_is_not_given_is_null_or_the_columns_default(self, bench: Bench) -> None:
        async with bench.acting():
            (added,) = bench.dao.entities(await bench.dao.insert({"code": "a"}))
        assert isinstance(added.uid, uuid.UUID)
        assert added.tags == []
        assert added.created_at.utcoffset() == timedelta(0)
        nullable = (added.title, added.rank, added.big, added.score, added.active, added.seen_at, added.info)
        assert nullable == (None,) * 7

    async def test_each_row_has_an_id_of_its_own(self, bench: Bench) -> None:
        ids = [(await bench.add()).id for _ in range(20)]
        assert len(set(ids)) == 20

    async def test_a_document_comes_back_as_json_that_can_go_straight_to_the_wire(self, bench: Bench) -> None:
        async with bench.acting():
            rows = await bench.dao.insert(bench.values(info=EVERY_TYPE["info"]), bench.dao.projection(("info",)))
        assert msgspec.json.decode(msgspec.json.encode(rows.rows[0][0])) == EVERY_TYPE["info"]

    async def test_a_null_document_is_null_however_it_was_written(self, bench: Bench) -> None:
        await bench.add("inserted", info=None)
        await bench.upsert([bench.values("many", info=None)])
        changed = await bench.add("changed", info={"a": 1})
        await bench.change(changed.id, info=None)
        assert await bench.codes(path(Sample.info).is_null()) == ["inserted", "many", "changed"]

    async def test_a_time_is_an_instant_whatever_its_zone(self, bench: Bench) -> None:
        abroad = LONG_AGO.astimezone(timezone(timedelta(hours=5, minutes=30)))
        added = await bench.add("a", seen_at=abroad)
        assert added.seen_at == LONG_AGO
        assert await bench.codes(Condition(FilterType.EQ, "seen_at", abroad)) == ["a"]

    async def test_another_partners_row_does_not_exist(self, bench: Bench) -> None:
        added = await bench.add("a", title="mine")
        stranger = bench.of(bench.partner + 1)
        assert await stranger.get(added.id) is None
        assert await stranger.codes() == []
        assert await stranger.count() == 0
        assert await stranger.streamed() == []
        if bench.features.updates:
            assert await stranger.change(added.id, title="stolen") is None
            assert not await stranger.remove(added.id)
            async with stranger.acting():
                assert await stranger.dao.delete_where(path(Sample.code).eq("a")) == 0
        unchanged = await bench.get(added.id)
        assert unchanged is not None
        assert (unchanged.title, unchanged.version) == ("mine", 1)

    async def test_an_update_counts_the_version_and_dates_the_row(self, bench: Bench) -> None:
        bench.needs(updates=True)
        added = await bench.add("a", title="old", rank=1, created_at=LONG_AGO, updated_at=LONG_AGO)
        changed = await bench.change(added.id, title="new")
        assert changed is not None
        assert (changed.title, changed.rank, changed.version) == ("new", 1, 2)
        assert changed.created_at == LONG_AGO
        assert changed.updated_at > LONG_AGO
        again = await bench.change(added.id, title=None, version=2)
        assert again is not None
        assert (again.title, again.version) == (None, 3)

    async def test_an_update_of_a_row_that_is_not_there_changes_nothing(self, bench: Bench) -> None:
        bench.needs(updates=True)
        added = await bench.add("a", title="old")
        assert await bench.change(added.id + 1_000_000_007, title="new") is None
        assert await bench.count(path(Sample.title).eq("old")) == 1

    async def test_a_write_to_an_old_version_is_refused(self, bench: Bench) -> None:
        bench.needs(updates=True)
        added = await bench.add("a", title="old")
        await bench.change(added.id, title="new", version=1)
        with pytest.raises(VersionMismatchError):
            await bench.change(added.id, title="newer", version=1)
        with pytest.raises(VersionMismatchError):
            await bench.remove(added.id, version=1)
        stored = await bench.get(added.id)
        assert stored is not None
        assert (stored.title, stored.version) == ("new", 2)

    async def test_a_soft_delete_hides_the_row_and_restore_brings_it_back(self, bench: Bench) -> None:
        bench.needs(updates=True)
        added = await bench.add("a")
        await bench.add("b")
        assert await bench.remove(added.id)
        assert await bench.get(added.id) is None
        assert await bench.codes() == ["b"]
        assert await bench.count() == 1
        assert not await bench.remove(added.id)
        async with bench.acting():
            await bench.dao.restore(added.id)
        restored = await bench.get(added.id)
        assert restored is not None
        assert restored.version == 3

    async def test_a_hard_delete_removes_the_row_and_only_that_row(self, bench: Bench) -> None:
        bench.needs(updates=True)
        mine, other = f"{bench.partner}-a", f"{bench.partner}-b"
        async with bench.acting():
            await bench.notes.insert({"id": mine, "body": "x"})
            await bench.notes.insert({"id": other, "body": None})
            assert await bench.notes.delete(mine)
            assert not await bench.notes.delete(mine)
            assert [one.id for one in await bench.notes.all_entities()] == [other]

    async def test_a_deleted_row_can_be_written_anew(self, bench: Bench) -> None:
        bench.needs(updates=True)
        id = f"{bench.partner}-a"
        async with bench.acting():
            for body in ("first", "second"):
                await bench.notes.insert({"id": id, "body": body})
                assert [one.body for one in await bench.notes.all_entities()] == [body]
                assert await bench.notes.delete(id)

    async def test_rows_are_deleted_by_what_they_hold(self, bench: Bench) -> None:
        bench.needs(updates=True)
        await bench.add_all([bench.values(code, rank=rank) for rank, code in enumerate("abcd")])
        async with bench.acting():
            assert await bench.dao.delete_where(path(Sample.rank).gte(2)) == 2
        assert await bench.codes() == ["a", "b"]

    async def test_several_rows_are_read_by_their_ids_in_order(self, bench: Bench) -> None:
        added = [await bench.add(code) for code in "abc"]
        stranger = await bench.of(bench.partner + 1).add("x")
        async with bench.acting():
            wanted = [added[2].id, stranger.id, added[0].id]
            assert [one.code for one in bench.dao.entities(await bench.dao.get_many(wanted))] == ["a", "c"]
            assert bench.dao.entities(await bench.dao.get_many([])) == []

    async def test_a_taken_key_is_a_conflict(self, bench: Bench) -> None:
        bench.needs(unique_keys=True)
        added = await bench.add("a")
        other = await bench.add("b")
        with pytest.raises(ConflictError):
            await bench.add("a")
        with pytest.raises(ConflictError):
            await bench.add("c", uid=added.uid)
        with pytest.raises(ConflictError):
            await bench.change(other.id, code="a")
        assert await bench.codes() == ["a", "b"]
        assert (await bench.of(bench.partner + 1).add("a")).code == "a"

    async def test_a_missing_value_is_refused(self, bench: Bench) -> None:
        with pytest.raises(InputError):
            await bench.add("a", tags=None)
        async with bench.acting():
            with pytest.raises(InputError):
                await bench.dao.insert({"title": "a row needs a code"})
        assert await bench.count() == 0
