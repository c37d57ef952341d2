"""Units of work: what is rolled back was never there, and nobody sees what is not committed."""

from __future__ import annotations

import asyncio

import pytest

from coffee_core.domain.errors import ConflictError, InputError, RuleError
from coffee_core.domain.search import path
from coffee_core.testing.store_contract.bench import Bench
from coffee_core.testing.store_contract.sample import Sample


class TransactionsContract:
    """See `DaoProviderContract`."""

    async def test_two_statements_of_one_unit_of_work_last_together(self, bench: Bench) -> None:
        bench.needs(transactions=True)
        async with bench.transaction():
            (first,) = bench.dao.entities(await bench.dao.insert(bench.values("a", rank=1)))
            await bench.dao.update(first.id, {"rank": 2})
            await bench.notes.insert({"id": f"{bench.partner}", "body": "x"})
        assert [(one.code, one.rank) for one in await bench.all()] == [("a", 2)]
        async with bench.acting():
            assert len(await bench.notes.all_entities()) == 1

    async def test_a_rollback_leaves_nothing(self, bench: Bench) -> None:
        bench.needs(transactions=True)
        kept = await bench.add("kept", rank=1)

        async def fail_at_the_end() -> None:
            async with bench.transaction():
                await bench.dao.insert(bench.values("a"))
                await bench.dao.upsert([bench.values("b"), bench.values("c")], ("partner_id", "code"))
                await bench.dao.update(kept.id, {"rank": 2})
                await bench.dao.delete_where(path(Sample.code).eq("kept"))
                await bench.notes.insert({"id": f"{bench.partner}", "body": "x"})
                raise RuleError("no")

        with pytest.raises(RuleError):
            await fail_at_the_end()
        stored = await bench.get(kept.id)
        assert stored is not None
        assert (stored.rank, stored.version) == (1, 1)
        assert await bench.codes() == ["kept"]
        async with bench.acting():
            assert await bench.notes.all_entities() == []
        assert (await bench.add("a")).code == "a"  # the key is free again

    async def test_the_unit_of_work_sees_its_own_writes_and_others_do_not(self, bench: Bench) -> None:
        bench.needs(transactions=True)
        done = asyncio.Event()
        written = asyncio.Event()

        async def write() -> None:
            async with bench.transaction():
                await bench.dao.insert(bench.values("a"))
                own = await bench.dao.all_entities()
                assert [one.code for one in own] == ["a"]
                written.set()
                await done.wait()

        task = asyncio.create_task(write())
        try:
            await asyncio.wait([task, waiter := asyncio.create_task(written.wait())], return_when="FIRST_COMPLETED")
            waiter.cancel()
            assert await bench.codes() == []
        finally:
            done.set()
            await task
        assert await bench.codes() == ["a"]

    async def test_an_error_that_is_swallowed_stores_nothing(self, bench: Bench) -> None:
        bench.needs(transactions=True, unique_keys=True)
        await bench.add("taken")

        async def swallow() -> None:
            async with bench.transaction():
                await bench.dao.insert(bench.values("a"))
                with pytest.raises(ConflictError):
                    await bench.dao.insert(bench.values("taken"))

        with pytest.raises(RuntimeError):
            await swallow()
        assert await bench.codes() == ["taken"]

    async def test_a_cancelled_unit_of_work_leaves_nothing(self, bench: Bench) -> None:
        bench.needs(transactions=True)
        written = asyncio.Event()

        async def write() -> None:
            async with bench.transaction():
                await bench.dao.insert(bench.values("a"))
                written.set()
                await asyncio.get_running_loop().create_future()

        task = asyncio.create_task(write())
        await written.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await bench.codes() == []
        assert (await bench.add("a")).code == "a"

    async def test_no_write_is_lost_among_many_at_once(self, bench: Bench) -> None:
        bench.needs(transactions=True)
        counter = await bench.add("counter", rank=0)

        async def count_up() -> None:
            async with bench.transaction():
                (row,) = bench.dao.entities(await bench.dao.get(counter.id, for_update=True))
                await asyncio.sleep(0)
                await bench.dao.update(counter.id, {"rank": (row.rank or 0) + 1})

        await asyncio.gather(*(count_up() for _ in range(20)))
        stored = await bench.get(counter.id)
        assert stored is not None
        assert (stored.rank, stored.version) == (20, 21)

    async def test_of_two_writers_of_one_version_one_is_refused(self, bench: Bench) -> None:
        bench.needs(transactions=True)
        row = await bench.add("a")
        results = await asyncio.gather(
            *(bench.change(row.id, version=1, title=str(at)) for at in range(5)), return_exceptions=True
        )
        assert [type(one).__name__ for one in results].count("VersionMismatchError") == 4
        stored = await bench.get(row.id)
        assert stored is not None
        assert stored.version == 2

    async def test_of_many_equal_keys_at_once_one_is_stored(self, bench: Bench) -> None:
        bench.needs(unique_keys=True)
        results = await asyncio.gather(*(bench.add("same") for _ in range(10)), return_exceptions=True)
        assert [type(one).__name__ for one in results].count("ConflictError") == 9
        assert await bench.codes() == ["same"]

    async def test_a_serializable_unit_of_work_is_kept(self, bench: Bench) -> None:
        bench.needs(transactions=True)
        async with bench.acting() as work:
            work.transactional, work.isolation = True, "serializable"
            await bench.dao.insert(bench.values("a"))
            with pytest.raises(InputError):
                await bench.dao.insert(bench.values("b", rank="no number"))
            await work.rollback()
        assert await bench.codes() == []
