"""What a partner has bought, what he has used, and what operators set right."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from coffee_core.domain.context import RequestContext
from coffee_core.metering.postgres import PostgresLedger
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.testing.api_client import Answer, ApiClient
from modules.partner_usage.tables import TABLES
from tests.modules.partner_usage.conftest import BASE, SINCE, Office, monthly

COUNTERS, TRACK = TABLES.counters, TABLES.once


async def unlock(caller: ApiClient, code: str = "usage1", query: str = "", key: str | None = None) -> Answer:
    headers = {} if key is None else {"idempotency-key": key}
    path = f"{BASE}/profile/{code}/INSTAGRAM/unlock{query}"
    return await caller.request("POST", path, headers=headers)


async def test_a_partner_sees_his_contract_with_what_is_consumed(office: Office) -> None:
    caller = await office.partner(PROFILE_PAGE=monthly(5), DISCOVERY=monthly(100))
    await unlock(caller)
    (record,) = (await caller.get(f"{BASE}/{caller.partner}")).data
    assert (record["id"], record["plan"], record["endTime"]) == (caller.partner, "SAAS", None)
    assert datetime.fromisoformat(record["startTime"]) == SINCE
    pages = (await office.used(caller))["PROFILE_PAGE"]
    assert (pages["limit"], pages["consumed"], pages["remaining"], pages["frequency"]) == (5, 1, 4, "monthly")
    reset = datetime.fromisoformat(pages["nextResetOn"])
    assert datetime.now(UTC) < reset <= datetime.now(UTC) + timedelta(days=31)
    assert (reset + timedelta(days=1)).day == 1  # the 31st, or the last day of a shorter month
    assert set(await office.used(caller)) == {"PROFILE_PAGE", "DISCOVERY"}


async def test_without_a_contract_there_is_what_is_free(office: Office) -> None:
    caller = await office.partner()
    (record,) = (await caller.get(f"{BASE}/{caller.partner}")).data
    assert (record["plan"], record["startTime"]) == ("FREE", None)
    limits = {name: (each["limit"], each["consumed"]) for name, each in (await office.used(caller)).items()}
    assert limits == {"DISCOVERY": (10, 0), "PROFILE_PAGE": (5, 0)}
    codes = [f"usage{number}" for number in range(1, 7)]
    assert [(await unlock(caller, code)).status for code in codes] == [200] * 5 + [429]


async def test_unlocking_a_profile_costs_once_in_a_period_by_whatever_name(office: Office) -> None:
    caller = await office.partner(PROFILE_PAGE=monthly(2))
    first, again = await unlock(caller, "usage1"), await unlock(caller, "cook1")
    assert (first.data[0]["cost"], first.headers["usage-cost"], first.headers["usage-remaining"]) == (1, "1", "1")
    assert (again.data[0]["cost"], again.headers["usage-cost"], again.headers["usage-remaining"]) == (0, "0", "1")
    assert first.data[0]["platformCode"] == again.data[0]["platformCode"] == "usage1"
    id = await office.value("SELECT id FROM social_profile.instagram WHERE ig_id = 'usage1'")
    rows = await office.value(f"SELECT array_agg(key) FROM {TRACK} WHERE partner_id = $1", caller.partner)
    assert rows == [f"PROFILE_PAGE:IA_{id}"]


async def test_the_profiles_of_one_person_have_one_page(office: Office) -> None:
    caller = await office.partner(PROFILE_PAGE=monthly(2))
    await office.execute("UPDATE social_profile.instagram SET profile_id = 'P7' WHERE ig_id IN ('usage7', 'usage8')")
    assert [(await unlock(caller, code)).data[0]["cost"] for code in ("usage7", "usage8")] == [1, 0]


async def test_in_the_next_period_it_costs_again(office: Office) -> None:
    caller = await office.partner(PROFILE_PAGE=monthly(2))
    await unlock(caller)
    past = datetime.now(UTC) - timedelta(seconds=1)
    await office.execute(f"UPDATE {COUNTERS} SET next_reset_on = $2 WHERE partner_id = $1", caller.partner, past)
    await office.execute(f"UPDATE {TRACK} SET free_until = $2 WHERE partner_id = $1", caller.partner, past)
    assert (await unlock(caller)).data[0]["cost"] == 1
    assert (await office.used(caller))["PROFILE_PAGE"]["consumed"] == 1
    assert await office.value(f"SELECT count(*) FROM {TRACK} WHERE partner_id = $1", caller.partner) == 1


async def test_one_profile_unlocked_many_times_at_once_costs_once(office: Office) -> None:
    caller = await office.partner(PROFILE_PAGE=monthly(5))
    answers = await asyncio.gather(*(unlock(caller) for _ in range(10)))
    assert sorted(answer.data[0]["cost"] for answer in answers) == [0] * 9 + [1]
    assert (await office.used(caller))["PROFILE_PAGE"]["consumed"] == 1


async def test_at_the_limit_it_is_429_with_the_reset_and_what_is_unlocked_stays_so(office: Office) -> None:
    caller = await office.partner(PROFILE_PAGE=monthly(1))
    await unlock(caller, "usage1")
    refused = await unlock(caller, "usage2")
    assert (refused.status, refused.json["type"]) == (429, "urn:coffee:problem:usage-limit")
    assert int(refused.headers["retry-after"]) > 0
    assert refused.headers["usage-reset"] in refused.json["detail"]
    assert (await unlock(caller, "usage1")).status == 200
    assert (await unlock(caller, "usage2")).status == 429


async def test_a_profile_that_is_not_there_is_404_and_free(office: Office) -> None:
    caller = await office.partner(PROFILE_PAGE=monthly(1))
    assert (await unlock(caller, "nobody")).status == 404
    assert (await caller.post(f"{BASE}/profile/usage1/MYSPACE/unlock")).status == 404
    assert (await office.used(caller))["PROFILE_PAGE"]["consumed"] == 0


async def test_asking_for_the_cost_unlocks_nothing(office: Office) -> None:
    caller = await office.partner(PROFILE_PAGE=monthly(1))
    asked = await unlock(caller, query="?dryRun=cost")
    assert (asked.data[0]["cost"], asked.headers["usage-cost"], asked.headers["usage-remaining"]) == (1, "1", "1")
    assert (await office.used(caller))["PROFILE_PAGE"]["consumed"] == 0
    await unlock(caller)
    assert (await unlock(caller, query="?dryRun=cost")).data[0]["cost"] == 0


async def test_a_repeated_unlock_is_billed_once(office: Office) -> None:
    caller = await office.partner(PROFILE_PAGE=monthly(3))
    first, again = [await unlock(caller, key=f'"one-{caller.partner}"') for _ in range(2)]
    assert (first.body, again.headers["idempotent-replayed"]) == (again.body, "true")
    assert (await office.used(caller))["PROFILE_PAGE"]["consumed"] == 1


async def test_what_the_contract_does_not_include_is_402(office: Office) -> None:
    caller = await office.partner(DISCOVERY=monthly(5))
    refused = await unlock(caller)
    assert (refused.status, refused.json["detail"]) == (402, "what you have bought does not include PROFILE_PAGE")


async def test_another_partner_does_not_exist(office: Office) -> None:
    caller, other = await office.partner(PROFILE_PAGE=monthly(5)), await office.partner(PROFILE_PAGE=monthly(5))
    await unlock(other)
    assert (await caller.get(f"{BASE}/{other.partner}")).status == 404
    assert (await caller.get(f"{BASE}/999999999")).json["title"] == "Not found"
    found = await caller.post(f"{BASE}/search", {"filters": []})
    assert found.json["totalCount"] == 0
    named = {"filters": [{"filterType": "EQ", "field": "partnerId", "value": str(other.partner)}]}
    assert (await caller.post(f"{BASE}/search", named)).json["count"] == 0
    assert (await unlock(caller, "usage1")).data[0]["cost"] == 1  # what one has unlocked costs the other


async def test_counters_are_searched_by_their_partner_and_all_of_them_by_operators(office: Office) -> None:
    caller, other = await office.partner(PROFILE_PAGE=monthly(5)), await office.partner(PROFILE_PAGE=monthly(7))
    for each in (caller, other):
        await unlock(each)
    (own,) = (await caller.post(f"{BASE}/search", {"filters": []})).data
    assert (own["partnerId"], own["namespace"], own["limit"], own["consumed"], own["key"]) == (
        caller.partner, "PROFILE_PAGE", 5, 1, "USAGE",
    )  # fmt: skip
    two = {"filters": [{"filterType": "IN", "field": "partnerId", "value": [caller.partner, other.partner]}]}
    found = await office.operator.post(f"{BASE}/search", two, query={"sortBy": "limit", "sortDir": "DESC"})
    assert [each["limit"] for each in found.data] == [7, 5]
    assert found.json["totalCount"] == 2


async def test_operators_set_what_is_consumed_and_partners_do_not(office: Office) -> None:
    caller = await office.partner(PROFILE_PAGE=monthly(2), DISCOVERY=monthly(50))
    for code in ("usage1", "usage2"):
        await unlock(caller, code)
    body = {"usage": [{"namespace": "PROFILE_PAGE", "consumed": 0}]}
    path = f"{BASE}/{caller.partner}"
    assert (await caller.put(path, body)).status == 403
    rehearsed = await office.operator.request("PUT", path, body, query={"dryRun": "true"})
    assert rehearsed.data[0]["usage"][1]["consumed"] == 0
    assert (await office.used(caller))["PROFILE_PAGE"]["consumed"] == 2
    (record,) = (await office.operator.put(path, body)).data
    assert {each["namespace"]: each["consumed"] for each in record["usage"]} == {"PROFILE_PAGE": 0, "DISCOVERY": 0}
    assert (await unlock(caller, "usage3")).headers["usage-remaining"] == "1"
    stored = await office.value(f"SELECT count(*) FROM {COUNTERS} WHERE partner_id = $1", caller.partner)
    assert stored == 2  # both are in line with the contract, although one was never used


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"usage": [{"namespace": "COFFEE", "consumed": 1}]}, "/usage/0/namespace"),
        ({"usage": [{"namespace": "DISCOVERY", "consumed": -1}]}, "/usage/0/consumed"),
        ({"usage": [{"namespace": "DISCOVERY", "limit": 5}]}, "/usage/0/limit"),
        ({"limits": []}, "/limits"),
    ],
)
async def test_a_correction_that_is_none_is_refused(office: Office, body: object, pointer: str) -> None:
    caller = await office.partner(DISCOVERY=monthly(5))
    refused = await office.operator.put(f"{BASE}/{caller.partner}", body)
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (400, pointer)


async def test_the_largest_plan_decides_then_the_newest_contract_and_what_has_ended_counts_no_more(
    office: Office,
) -> None:
    caller = await office.partner(PROFILE_PAGE=monthly(5))
    now = datetime.now(UTC)
    await office.sign(caller.partner, {"PROFILE_PAGE": monthly(900)}, plan="PAID", end_time=now - timedelta(1))
    await office.sign(caller.partner, {"PROFILE_PAGE": monthly(800)}, plan="PAID", start_time=now + timedelta(1))
    await office.sign(caller.partner, {"PROFILE_PAGE": monthly(700)}, contract_type="CAMPAIGN")
    assert (await office.used(caller))["PROFILE_PAGE"]["limit"] == 5
    await office.sign(caller.partner, {"PROFILE_PAGE": monthly(60)}, start_time=now - timedelta(1))
    assert (await office.used(caller))["PROFILE_PAGE"]["limit"] == 60
    await office.sign(caller.partner, {"PROFILE_PAGE": monthly(50)}, plan="PAID")
    assert (await office.used(caller))["PROFILE_PAGE"]["limit"] == 50


async def test_a_namespace_may_have_days_of_its_own(office: Office) -> None:
    ended = monthly(5, start="2024-01-31T00:00:00Z", end="2024-03-01T00:00:00+05:30")
    caller = await office.partner(PROFILE_PAGE=ended, DISCOVERY=monthly(5, start="2024-02-29T10:00:00+05:30"))
    used = await office.used(caller)
    assert set(used) == {"DISCOVERY"}
    assert datetime.fromisoformat(used["DISCOVERY"]["startDate"]) == datetime(2024, 2, 29, 4, 30, tzinfo=UTC)


async def test_a_raised_contract_counts_at_once(office: Office) -> None:
    caller = await office.partner()
    contract = await office.sign(caller.partner, {"PROFILE_PAGE": monthly(1)})
    assert [(await unlock(caller, code)).status for code in ("usage1", "usage2")] == [200, 429]
    raised = "UPDATE identity.contract SET configurations = jsonb_set(configurations, '{PROFILE_PAGE,limit}', '2') "
    await office.execute(raised + "WHERE id = $1", contract)
    assert (await unlock(caller, "usage2")).headers["usage-remaining"] == "0"


async def test_the_job_resets_what_is_due(office: Office, usage_store: PostgresStore) -> None:
    caller = await office.partner(PROFILE_PAGE=monthly(5))
    await unlock(caller)
    past = datetime.now(UTC) - timedelta(days=40)
    await office.execute(f"UPDATE {COUNTERS} SET next_reset_on = $2 WHERE partner_id = $1", caller.partner, past)
    assert (await office.used(caller))["PROFILE_PAGE"]["consumed"] == 0  # already before the job
    ledger = PostgresLedger(usage_store.pool, TABLES)
    async with acting_as(RequestContext(request_id="r", partner_id=0)):
        assert await ledger.reset() >= 1
    (row,) = (await caller.post(f"{BASE}/search", {"filters": []})).data
    assert (row["consumed"], row["nextResetOn"]) == (0, (await office.used(caller))["PROFILE_PAGE"]["nextResetOn"])


async def test_nobody_without_a_session_sees_anything(office: Office) -> None:
    nobody = office.api.without_session()
    assert [(await nobody.get(f"{BASE}/1")).status, (await unlock(nobody)).status] == [401, 401]
