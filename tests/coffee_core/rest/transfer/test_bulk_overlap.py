"""Records are stored while later ones are still read: nobody can tell from the outcome. Batches here hold 7 records."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coffee_core.domain.errors import ConflictError, InputError, RuleError
from coffee_core.rest.transfer.beside import Beside, Turn
from tests.coffee_core.rest.transfer.rig import Caller, city_api
from tests.coffee_core.rest.transfer.test_bulk import Ruled

MANY = 1000
"""So many that the first ones are stored when the last one is read."""


def cities(count: int = MANY, **spoilt: Any) -> list[dict[str, Any]]:
    """Valid ones, but for those of `spoilt`: `c5={"population": -1}`."""
    return [{"code": f"c{n}", "name": f"N{n}", **spoilt.get(f"c{n}", {})} for n in range(count)]


async def stored(city: Caller) -> int:
    return (await city.export("?fields=code")).count("\r\n") - 1


@pytest.mark.parametrize("part", ["create", "upsert"])
async def test_a_mistake_in_the_last_record_stores_nothing(city: Caller, part: str) -> None:
    with pytest.raises(InputError) as refused:
        await city.bulk({part: cities(c999={"population": -1}, c500={"name": 5})})
    assert [error.pointer for error in refused.value.errors] == [f"/{part}/500/name", f"/{part}/999/population"]
    assert await stored(city) == 0


async def test_a_mistake_in_another_part_stores_nothing(city: Caller) -> None:
    with pytest.raises(InputError, match="/update/0/id"):
        await city.bulk({"create": cities(), "update": [{"name": "no id"}]})
    assert await stored(city) == 0


async def test_a_mistake_is_told_before_what_the_store_refuses(city: Caller) -> None:
    """In whatever order they are in the request: what is wrong in itself can be mended without a look at the store."""
    with pytest.raises(InputError, match="/create/999/population"):
        await city.bulk({"create": cities(c3={"code": "c2"}, c999={"population": -1})})
    assert await stored(city) == 0


async def test_what_the_store_refuses_is_named_and_nothing_is_stored(city: Caller) -> None:
    with pytest.raises(ConflictError, match=r"^/create/303: "):
        await city.bulk({"create": cities(c303={"code": "c2"}, c505={"name": "Atlantis"})})
    assert await stored(city) == 0
    with pytest.raises(RuleError, match=r"^/create/505: "):
        await city.bulk({"create": cities(c505={"name": "Atlantis"}), "delete": [10**15]})
    assert await stored(city) == 0


async def test_each_on_its_own_has_its_result_in_its_place(city: Caller) -> None:
    body = {
        "create": cities(c303={"code": "c2"}, c505={"name": "Atlantis"}, c999={"population": -1}),
        "upsert": cities(c0={"name": 5}, c1={"name": "Atlantis"}, c505={"name": "Other"}),
    }
    results = await city.bulk(body, "?atomic=false")
    places = [(result["operation"], result["index"]) for result in results]
    assert places == [(part, at) for part in ("create", "upsert") for at in range(MANY)]
    refused = {place for place, result in zip(places, results, strict=True) if result["status"] == "refused"}
    assert refused == {("create", 303), ("create", 505), ("create", 999), ("upsert", 0), ("upsert", 1)}
    created = [
        at for (part, at), one in zip(places, results, strict=True) if (part, one["status"]) == ("upsert", "created")
    ]
    assert created == [303, 505, 999]
    for at in (0, 302, 304, 998):
        row = await city.named(f"c{at}")
        assert row is not None
        assert row.id == results[at]["id"]


async def test_no_rule_of_a_manager_is_asked_before_all_is_read(database_url: str) -> None:
    """A rule may do what no rollback undoes."""
    Ruled.seen.clear()
    async with city_api(database_url, Ruled) as city:
        with pytest.raises(InputError, match="/create/999/population"):
            await city.bulk({"create": cities(c999={"population": -1})})
    assert Ruled.seen == []


async def test_a_request_that_is_cancelled_stores_nothing(city: Caller) -> None:
    request = asyncio.create_task(city.bulk({"create": cities()}))
    for _ in range(20):
        await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert await stored(city) == 0


async def test_pieces_have_their_turn_in_their_order_and_never_two_at_a_time() -> None:
    seen: list[str] = []
    beside, turn, gate = Beside(most=2), Turn(), asyncio.Event()

    def piece(name: str, *, fails: bool = False) -> Any:
        async def run() -> None:
            seen.append(f"begins {name}")
            async with turn:
                seen.append(f"has {name}")
                await gate.wait()
                if fails:
                    raise ConflictError(name)
                seen.append(f"had {name}")

        return run

    for name in "ab":
        await beside.add(piece(name))
    gate.set()
    await beside.end()
    assert seen == ["begins a", "has a", "begins b", "had a", "has b", "had b"]
    await beside.add(piece("c", fails=True))
    await beside.add(piece("d"))
    with pytest.raises(ConflictError, match="c"):
        await beside.end()
    with pytest.raises(ConflictError, match="c"):
        await beside.end()
    assert "has d" not in seen
