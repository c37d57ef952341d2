"""A message carries the context of whoever raised it, there and back."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.domain.context import RequestContext
from coffee_core.domain.plan import Plan
from coffee_core.messaging import message as m
from coffee_core.messaging.errors import MalformedMessageError
from coffee_core.messaging.message import Message, message_of, moment, read_context, read_message, read_time, source_of
from coffee_core.messaging.topic import Topic
from tests.coffee_core.messaging.sample import Happened, a_caller

IDS = st.none() | st.integers(min_value=0, max_value=2**63 - 1)
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=100)


@given(TEXT.filter(bool), IDS, IDS, IDS, st.sampled_from(list(Plan)), TEXT)
async def test_the_context_survives_the_journey(
    request: str, partner: int | None, account: int | None, user: int | None, plan: Plan, trace: str
) -> None:
    sent = RequestContext(
        request_id=request, partner_id=partner, account_id=account, user_id=user, plan=plan, traceparent=trace
    )
    headers = Message(Topic("a", "b"), str(uuid.uuid4()), "kind", source_of(sent), b"{}", "key").headers
    got = read_context(headers, seconds=1)
    assert (got.request_id, got.partner_id, got.account_id, got.user_id, got.plan, got.traceparent) == (
        request, partner, account, user, plan, trace,
    )  # fmt: skip


@given(st.integers(0, 4 * 10**18))
def test_a_moment_is_read_as_it_was_written(nanoseconds: int) -> None:
    written = moment(nanoseconds)
    assert read_time({m.OCCURRED_AT: written}) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        microseconds=nanoseconds // 1000
    )
    assert len(written) == len("2026-11-28T22:10:49.000001Z")


@given(
    st.dictionaries(st.sampled_from([m.ID, m.TYPE, m.PARTNER, m.USER, m.PLAN, m.REQUEST_ID, m.TRACEPARENT]), st.text())
)
async def test_any_headers_are_read_or_refused(headers: dict[str, str]) -> None:
    try:
        read_message(Topic("a", "b"), headers, b"")
        context = read_context(headers, seconds=1)
    except MalformedMessageError:
        return
    assert context.partner_id is None or str(context.partner_id) == headers[m.PARTNER]


@pytest.mark.parametrize(
    ("spoil", "named"),
    [({m.ID: "7"}, m.ID), ({m.TYPE: ""}, m.TYPE), ({m.PARTNER: "-1"}, m.PARTNER), ({m.PARTNER: "٣"}, m.PARTNER),
     ({m.USER: "1e3"}, m.USER), ({m.PLAN: "GOLD"}, m.PLAN), ({m.REQUEST_ID: "a\nb"}, m.REQUEST_ID)],
)  # fmt: skip
async def test_a_spoiled_header_is_named(spoil: dict[str, str], named: str) -> None:
    message = message_of(Happened(what="x"), a_caller())
    headers = {**message.headers, **spoil}
    with pytest.raises(MalformedMessageError, match=named):
        read_message(message.topic, headers, message.body)
        read_context(headers, seconds=1)


async def test_a_message_says_what_it_is_and_when_it_occurred() -> None:
    before = datetime.now(UTC)
    message = message_of(Happened(what="x"), a_caller(partner=7))
    assert message.headers[m.ID] == message.id
    assert uuid.UUID(message.id).version == 7
    assert message.headers[m.TYPE] == "happened"
    assert message.headers[m.PARTNER] == "7"
    assert before <= read_time(message.headers) <= datetime.now(UTC)
    assert message.body == b'{"what":"x","keyName":""}'
