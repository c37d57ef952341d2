"""A value is known for as long as somebody holds it, and no longer."""

from __future__ import annotations

from coffee_core.cache.held import Held


class Thing:
    """Something that can be held."""


def test_a_value_is_found_while_it_is_held_and_its_key_goes_with_it() -> None:
    held: Held[Thing] = Held()
    thing = Thing()
    assert held.put("a", thing) is None
    assert held.get("a") is thing
    assert held.get("b") is None
    del thing
    assert held.get("a") is None
    assert len(held) == 0


def test_what_is_put_in_its_place_stays_when_the_old_one_goes() -> None:
    held: Held[Thing] = Held()
    old, new = Thing(), Thing()
    held.put("a", old)
    assert held.put("a", new) is old
    del old
    assert held.get("a") is new
    assert len(held) == 1


def test_what_was_taken_out_is_not_known_any_more() -> None:
    held: Held[Thing] = Held()
    thing = Thing()
    held.put("a", thing)
    assert held.pop("a") is thing
    assert held.pop("a") is None
    assert held.get("a") is None
    del thing
    assert len(held) == 0
