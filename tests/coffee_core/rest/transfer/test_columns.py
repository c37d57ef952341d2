"""Cells of a CSV file, read by column: what is made of each record is what is made of it alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coffee_core.domain.context import RequestContext
from coffee_core.domain.plan import Plan
from coffee_core.persistence.unit_of_work import acting_as
from coffee_core.rest.transfer.columns import Columns, Refused
from tests.coffee_core.rest.transfer.rig import SETTINGS, Caller, CityEntry

HEADER = ["code", "name", "country", "population", "growth", "capital", "tags", "facts", "foundedAt"]
TEXT = st.sampled_from(["a", "", "'", "'=1", "''=x", "nan", " a ", "[1", "ü"])
ROW = st.tuples(
    TEXT,
    TEXT,
    TEXT,
    st.sampled_from(["1", "", " 2 ", "-1", "1,000", "x"]),
    st.sampled_from(["1.5", "", " 2", "nan", "1e400", "x"]),
    st.sampled_from(["true", "", " false ", "yes?"]),
    st.sampled_from(['["a"]', "", "[]", "[1", "2]", "{}", "'[]", " [] ", '"a"']),
    st.sampled_from(["{}", "", '{"a":[1]}', "[", "1,2", " {} "]),
    st.sampled_from(["2026-01-01T00:00:00Z", "", " 2026-01-01T00:00:00Z", "soon"]),
).map(list)
PLAIN = ["a", "b", "c", "1", "1.5", "true", '["a"]', "{}", "2026-01-01T00:00:00Z"]
"""Without faults; most columns are read at once then."""


def told(one: CityEntry | Refused) -> object:
    return one.reason if isinstance(one, Refused) else (one, one.model_fields_set)


async def test_a_record_is_read_among_others_as_it_is_read_alone(city: Caller) -> None:
    columns = Columns(city.api.manager, ("code",), SETTINGS)
    async with acting_as(RequestContext(request_id="t", partner_id=1, user_id=1, plan=Plan.PAID)):
        columns.header(1, HEADER, None)

    def alone(row: list[str]) -> CityEntry | Refused:
        try:
            return columns.record(row)
        except Refused as refused:
            return refused

    @given(st.lists(ROW | st.just(PLAIN), max_size=6), st.integers(0, 8), st.lists(ROW, max_size=3))
    def holds(rows: list[list[str]], place: int, others: list[list[str]]) -> None:
        of_one_column = [[*PLAIN[:place], other[place], *PLAIN[place + 1 :]] for other in others]
        for asked in (rows, of_one_column, [*of_one_column, PLAIN[1:]]):
            assert [told(one) for one in columns.records(asked)] == [told(alone(row)) for row in asked]

    holds()
