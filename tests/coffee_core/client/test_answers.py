"""Records as whole as the caller's plan lets them be."""

from __future__ import annotations

from typing import Annotated

import orjson
import pytest
from pydantic import ValidationError

from coffee_core.client.answers import EntryReader
from coffee_core.domain.entry import Entry
from coffee_core.domain.plan import Gated, Plan


class Priced(Entry):
    """The price is never null, but for those who may not see it."""

    id: int
    full_name: str
    price: Annotated[int, Gated(Plan.SAAS)]


def envelope(record: dict[str, object], locked: list[str] | None) -> bytes:
    status = {"status": "SUCCESS", "message": "", "lockedFields": locked}
    return orjson.dumps({"data": [record], "count": 1, "totalCount": None, "status": status})


def test_a_locked_field_is_none_whatever_its_type() -> None:
    reader = EntryReader(Priced)
    found = reader.envelope(envelope({"id": 1, "fullName": "x", "price": None}, ["price"]))
    (entry,) = found.data
    assert isinstance(entry, Priced)
    assert (entry.id, entry.full_name, entry.price) == (1, "x", None)
    assert reader.locked(found.status) == {"price"}


def test_null_where_nothing_is_locked_is_refused() -> None:
    with pytest.raises(ValidationError):
        EntryReader(Priced).envelope(envelope({"id": 1, "fullName": "x", "price": None}, None))


def test_what_is_there_is_validated_also_beside_a_locked_field() -> None:
    with pytest.raises(ValidationError, match="fullName"):
        EntryReader(Priced).envelope(envelope({"id": 1, "fullName": 5, "price": None}, ["price"]))


def test_of_a_part_only_what_was_asked_for_is_there() -> None:
    found = EntryReader(Priced).envelope(envelope({"id": 1}, None), partly=True)
    assert found.data[0].id == 1
    assert found.data[0].model_fields_set == {"id"}
    with pytest.raises(AttributeError):
        _ = found.data[0].full_name


def test_an_exported_record_leaves_locked_fields_out() -> None:
    entry = EntryReader(Priced).line('{"id": 1, "fullName": "x"}')
    assert (entry.full_name, entry.price) == ("x", None)
