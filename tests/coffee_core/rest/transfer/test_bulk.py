"""A bulk request writes all or nothing, or each record on its own with a result for each."""

import time
from collections.abc import Mapping, Sequence
from typing import ClassVar

import orjson
import pytest

from coffee_core.domain.errors import (
    ConflictError,
    ForbiddenError,
    InputError,
    NotFoundError,
    PlanError,
    RuleError,
    TooLargeError,
)
from coffee_core.domain.plan import Plan
from coffee_core.rest.dao import Dao
from coffee_core.rest.manager import Manager
from coffee_core.rest.rows import Projection, Rows
from coffee_core.rest.transfer.results import kind_of
from tests.coffee_core.rest.transfer.rig import Caller, CityEntity, CityEntry, city_api


async def test_one_request_creates_upserts_updates_and_deletes(city: Caller) -> None:
    made = await city.bulk({"create": [{"code": "a", "name": "A"}, {"code": "b", "name": "B"}]})
    ids = [result["id"] for result in made]
    results = await city.bulk(
        {
            "delete": [ids[1]],
            "update": [{"id": ids[0], "population": 5}],
            "upsert": [{"code": "a", "name": "A"}, {"code": "c", "name": "C"}],
            "create": [{"code": "d", "name": "D"}],
        }
    )
    assert [(r["operation"], r["index"], r["status"]) for r in results] == [
        ("create", 0, "created"),
        ("upsert", 0, "unchanged"),
        ("upsert", 1, "created"),
        ("update", 0, "updated"),
        ("delete", 0, "deleted"),
    ]
    assert results[1]["id"] == ids[0]
    a, b = await city.named("a"), await city.named("b")
    assert a is not None
    assert b is not None
    assert (a.population, b.enabled) == (5, False)


async def test_all_or_nothing_is_the_default(city: Caller) -> None:
    with pytest.raises(ConflictError, match="/create/2"):
        await city.bulk({"create": [{"code": c, "name": c} for c in ("a", "b", "a")]})
    assert await city.named("a") is None


async def test_each_on_its_own_tells_what_became_of_each(city: Caller) -> None:
    body = {
        "create": [{"code": "a", "name": "A"}, {"code": "a", "name": "A"}, {"code": "x", "name": 5}],
        "upsert": [{"code": f"u{n}", "name": "Atlantis" if n == 4 else "U"} for n in range(9)],
        "update": [{"id": 10**12, "name": "N"}, {"name": "no id"}],
        "delete": [10**12, "word"],
    }
    results = await city.bulk(body, "?atomic=false")
    assert len(results) == 16
    refused = {(r["operation"], r["index"]): r["problem"]["kind"] for r in results if r["status"] == "refused"}
    assert refused == {
        ("create", 1): "conflict", ("create", 2): "input", ("upsert", 4): "rule", ("update", 0): "not-found",
        ("update", 1): "input", ("delete", 0): "not-found", ("delete", 1): "not-found",
    }  # fmt: skip
    assert await city.named("u8") is not None


async def test_every_mistake_is_named_with_its_place(city: Caller) -> None:
    with pytest.raises(InputError) as refused:
        await city.bulk({"create": [{"code": "a"}, {"code": "b", "name": "B"}], "upsert": [{"code": "c", "nam": "C"}]})
    assert {error.pointer for error in refused.value.errors} == {"/create/0/name", "/upsert/0/name", "/upsert/0/nam"}


async def test_a_key_twice_in_one_upsert_is_a_conflict(city: Caller) -> None:
    with pytest.raises(ConflictError, match="same code"):
        await city.bulk({"upsert": [{"code": "a", "name": "A"}, {"code": "a", "name": "B"}]})


async def test_what_an_upsert_does_not_name_stays(city: Caller) -> None:
    await city.bulk({"create": [{"code": "a", "name": "A", "country": "India"}]})
    await city.bulk({"upsert": [{"code": "a", "name": "B"}]})
    row = await city.named("a")
    assert row is not None
    assert (row.name, row.country) == ("B", "India")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param({}, InputError, id="nothing to do"),
        pytest.param({"insert": []}, InputError, id="an unknown part"),
        pytest.param({"create": {}}, InputError, id="no list"),
        pytest.param([], InputError, id="no object"),
        pytest.param({"create": [{"id": 5, "code": "a", "name": "A"}]}, InputError, id="an id of one's own"),
        pytest.param({"delete": [1] * 10_001}, TooLargeError, id="too many"),
        pytest.param({"delete": [10**15]}, NotFoundError, id="a record that is not there"),
        pytest.param({"create": [{"code": "a", "name": "Atlantis"}]}, RuleError, id="a rule of the table"),
    ],
)
async def test_a_request_that_cannot_be_done_is_refused(city: Caller, body: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        await city.bulk(body)


async def test_only_operators_write_what_belongs_to_no_partner(city: Caller) -> None:
    with pytest.raises(ForbiddenError):
        await city.bulk({"create": []}, partner=7)


def test_kinds_are_those_of_problems() -> None:
    assert [kind_of(error) for error in (InputError(""), NotFoundError(""), RuleError(""))] == [
        "input",
        "not-found",
        "rule",
    ]


async def test_a_time_without_a_zone_is_utc_wherever_the_process_runs(
    city: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        await city.bulk({"create": [{"code": "a", "name": "A", "foundedAt": "2024-05-01T00:00:00"}]})
        for moment in ("2024-05-01T00:00:00", "2024-05-01T02:00:00+02:00"):
            body = orjson.dumps({"filters": [{"filterType": "EQ", "field": "foundedAt", "value": moment}]})
            _, answer = await city.call("POST", "/search", body)
            assert [one["foundedAt"] for one in orjson.loads(answer)["data"]] == ["2024-05-01T00:00:00Z"], moment
    finally:
        monkeypatch.undo()
        time.tzset()


async def test_each_created_record_is_answered_with_its_own_id(city: Caller) -> None:
    codes = [f"c{n * 7 % 25}" for n in range(25)]
    results = await city.bulk({"create": [{"code": code, "name": code} for code in codes]})
    ids = {}
    for code in codes:
        row = await city.named(code)
        assert row is not None
        ids[code] = row.id
    assert [result["id"] for result in results] == [ids[code] for code in codes]


async def test_a_locked_field_refuses_the_record_that_names_it(city: Caller) -> None:
    records = [{"code": "a", "name": "A"}, {"code": "b", "name": "B", "mayorEmail": "m@example.com"}]
    with pytest.raises(PlanError, match="/create/1"):
        await city.bulk({"create": records}, plan=Plan.FREE)
    assert await city.named("a") is None
    results = await city.bulk({"create": records}, "?atomic=false", plan=Plan.FREE)
    assert [result["status"] for result in results] == ["created", "refused"]


class Ruled(Manager[CityEntry, CityEntity, int]):
    """Has rules of its own: sees each record before it is stored, and after."""

    seen: ClassVar[list[str]] = []

    async def on_create(self, entry: CityEntry) -> None:
        self.seen.append(f"before {entry.code}")
        if entry.name == "Nowhere":
            raise RuleError("there is no such place")

    async def created(self, entry: CityEntry) -> None:
        self.seen.append(f"after {entry.code}")


class Renaming(Manager[CityEntry, CityEntity, int]):
    """Maps what it answers itself."""

    def to_entry(self, entity: CityEntity) -> CityEntry:
        entry = super().to_entry(entity)
        entry.name = entry.name.upper()
        return entry


@pytest.mark.parametrize("kind", [Manager, Ruled, Renaming])
async def test_whatever_a_manager_overrides_the_outcome_of_a_bulk_is_the_same(
    database_url: str, kind: type[Manager[CityEntry, CityEntity, int]]
) -> None:
    Ruled.seen.clear()
    async with city_api(database_url, kind) as city:
        records = [{"code": c, "name": c} for c in ("a", "b", "a")] + [
            {"code": "d", "name": "Nowhere", "population": -1}
        ]
        with pytest.raises(InputError, match="/create/3/population"):
            await city.bulk({"create": records})
        with pytest.raises(ConflictError, match="/create/2"):
            await city.bulk({"create": records[:3]})
        assert await city.named("a") is None
        Ruled.seen.clear()
        results = await city.bulk({"create": records[:3]}, "?atomic=false")
        assert [result["status"] for result in results] == ["created", "created", "refused"]
        row = await city.named("b")
        assert row is not None
        assert (results[1]["id"], row.version, row.name) == (row.id, 1, "b")
    if kind is Ruled:
        assert Ruled.seen == ["before a", "after a", "before b", "after b", "before a"]


class Watching(Dao[CityEntity, int]):
    """Overrides how rows are stored."""

    seen: ClassVar[list[str]] = []

    async def insert(self, values: Mapping[str, object], projection: Projection | None = None) -> Rows[CityEntity]:
        self.seen.append(f"insert {values['code']}")
        return await super().insert(values, projection)

    async def update(
        self, id: int, values: Mapping[str, object], *, version: int | None = None, projection: Projection | None = None
    ) -> Rows[CityEntity]:
        self.seen.append("update")
        return await super().update(id, values, version=version, projection=projection)

    async def upsert(
        self, rows: Sequence[Mapping[str, object]], key: Sequence[str], projection: Projection | None = None
    ) -> tuple[Rows[CityEntity], list[bool]]:
        self.seen.append("upsert " + " ".join(str(row["code"]) for row in rows))
        return await super().upsert([{**row, "name": str(row["name"]).upper()} for row in rows], key, projection)


async def test_what_a_dao_overrides_is_called_by_many_writes_too(database_url: str) -> None:
    Watching.seen.clear()
    async with city_api(database_url, dao=Watching) as city:
        made = await city.bulk({"create": [{"code": "a", "name": "A"}, {"code": "b", "name": "B"}]})
        await city.bulk({"update": [{"id": made[0]["id"], "name": "Aa"}]})
        await city.bulk({"upsert": [{"code": "b", "name": "bb"}, {"code": "c", "name": "cc"}]})
        await city.load(b"code,name\nd,dd\n")
        names = [row.name for code in "abcd" if (row := await city.named(code)) is not None]
    assert Watching.seen == ["insert a", "insert b", "update", "upsert b c", "upsert d"]
    assert names == ["Aa", "BB", "CC", "DD"]
