"""Built Entries are valid, and say no more than they were asked to."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from coffee_core.domain.entry import Entry, ReadOnly
from coffee_core.domain.plan import Gated, Plan
from coffee_core.testing.entries import a_full, a_valid


class BeanEntry(Entry):
    id: Annotated[int | None, ReadOnly()] = None
    bean_name: Annotated[str, Field(min_length=1, max_length=4)]
    origin: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    picked_at: datetime
    grade: Annotated[int, Field(ge=1, le=3)] = 1
    price: Annotated[float | None, Gated(Plan.SAAS)] = None


def test_a_valid_entry_sets_what_is_required_and_what_is_given() -> None:
    for _ in range(50):
        bean = a_valid(BeanEntry, grade=3)
        assert bean.model_fields_set == {"bean_name", "origin", "picked_at", "grade"}
        assert bean.grade == 3
        BeanEntry.model_validate(bean.model_dump(), by_name=True)


def test_a_full_entry_sets_all_that_a_caller_may_send() -> None:
    for _ in range(50):
        bean = a_full(BeanEntry, origin="ET")
        assert bean.model_fields_set == {"bean_name", "origin", "picked_at", "grade", "price"}
        assert bean.origin == "ET"
        assert bean.picked_at.utcoffset() is not None
        assert bean.price is not None


@pytest.mark.parametrize("given", [{"grade": 4}, {"colour": "green"}])
def test_wrong_values_and_unknown_names_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        a_valid(BeanEntry, **given)
