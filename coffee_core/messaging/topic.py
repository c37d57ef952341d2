"""Topic names: `exchange___queue` (PLATFORM section 6)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from coffee_core.domain.errors import InputError

SEPARATOR = "___"
_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]|_{1,2}(?=[A-Za-z0-9.-]))*")
PART_MAX = 100
"""Characters of an exchange's or a queue's name; brokers allow 255 bytes, and we append suffixes of our own."""


class Topic(NamedTuple):
    """Where messages go: an exchange, and the one durable queue of that name behind it.

    A part starts with a letter or digit and holds letters, digits, `.`, `-` and at most two `_` in a row, not at its
    end: so `___` stands in a topic once, and what is written can be read back in one way only.
    """

    exchange: str
    queue: str

    def __str__(self) -> str:
        return f"{self.exchange}{SEPARATOR}{self.queue}"


@lru_cache(maxsize=1024)
def parse_topic(text: str) -> Topic:
    """The topic of this name; anything else is `InputError`."""
    exchange, separator, queue = text.partition(SEPARATOR)
    if not separator or not _is_part(exchange) or not _is_part(queue):
        raise InputError(
            f"{text!r} is no topic: write exchange___queue, each of letters, digits, '.', '-' and '_', "
            f"at most {PART_MAX} characters"
        )
    return Topic(exchange, queue)


def _is_part(text: str) -> bool:
    return len(text) <= PART_MAX and _PART.fullmatch(text) is not None
