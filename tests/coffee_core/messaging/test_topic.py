"""A topic's name can be read in one way only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.domain.errors import InputError
from coffee_core.messaging.topic import SEPARATOR, Topic, parse_topic

PARTS = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9.-]|_{1,2}[A-Za-z0-9.-]){0,30}", fullmatch=True)


def test_the_platforms_topics_are_read() -> None:
    assert parse_topic("coffee.dx___activity_tracker_rk") == Topic("coffee.dx", "activity_tracker_rk")


@given(PARTS, PARTS)
def test_what_is_written_is_read_back(exchange: str, queue: str) -> None:
    topic = Topic(exchange, queue)
    assert parse_topic(str(topic)) == topic


@given(st.text(max_size=60))
def test_anything_is_a_topic_or_refused_and_a_topic_is_what_it_says(text: str) -> None:
    try:
        topic = parse_topic(text)
    except InputError:
        return
    assert str(topic) == text
    assert text.count(SEPARATOR) == 1


@pytest.mark.parametrize(
    "text",
    ["", "a", "a__b", "___b", "a___", "a____b", "a___b___c", "a_ ___b", "a/b___c", "a___b\n", "a___b*", "a___>",
     "é___b", "a" * 101 + "___b"],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no topic"):
        parse_topic(text)
