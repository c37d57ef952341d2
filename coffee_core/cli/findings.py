"""What `coffee doctor` reports; packages add their own checks through the entry-point group `coffee.checks`."""

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import NamedTuple, TypeAlias


class Level(Enum):
    """How bad it is."""

    FINE = "✓"
    NOTE = "!"
    """Works, with a drawback that the sentence names."""
    BAD = "✗"
    """Does not work."""


class Finding(NamedTuple):
    """One thing that was looked at: what is, and what to do about it (empty where nothing is to be done)."""

    level: Level
    sentence: str
    remedy: str = ""


Check: TypeAlias = Callable[[], Awaitable[list[Finding]]]
"""Looks at one thing and changes nothing; what it cannot reach is a finding and not an exception."""


def fine(sentence: str) -> Finding:
    """As it should be."""
    return Finding(Level.FINE, sentence)


def note(sentence: str, remedy: str) -> Finding:
    """Works, with a drawback."""
    return Finding(Level.NOTE, sentence, remedy)


def bad(sentence: str, remedy: str) -> Finding:
    """Does not work."""
    return Finding(Level.BAD, sentence, remedy)
