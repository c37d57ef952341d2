"""Entries with valid values, so that a test names only what it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from polyfactory.factories.pydantic_factory import ModelFactory

from coffee_core.domain.ids import EntryT
from coffee_core.rest.fields import describe


def a_valid(entry: type[EntryT], /, **given: Any) -> EntryT:  # values of whatever types the fields have
    """`a_valid(NoteEntry, stars=5)`: what is given, a random valid value for each other field that is required.

    What has a default stays unset. An unknown name or a wrong value is pydantic's `ValidationError`.
    """
    required = (field.name for field in describe(entry).values() if field.required)
    return _built(entry, required, given)


def a_full(entry: type[EntryT], /, **given: Any) -> EntryT:  # values of whatever types the fields have
    """Like `a_valid`, with every field that a caller may send."""
    return _built(entry, (field.name for field in describe(entry).values() if not field.read_only), given)


class _EntryFactory(ModelFactory[Any]):
    """polyfactory's, with times that say their zone."""

    __is_base_factory__ = True

    @classmethod
    def get_provider_map(cls) -> dict[Any, Callable[[], Any]]:
        def moment() -> datetime:
            return cls.__faker__.date_time_between("-10y", tzinfo=UTC)

        return {**super().get_provider_map(), datetime: moment}


def _built(entry: type[EntryT], names: Iterable[str], given: dict[str, Any]) -> EntryT:
    wanted = [name for name in names if name not in given]
    factory = _EntryFactory.create_factory(entry, __check_model__=False, __allow_none_optionals__=False)
    made = factory.process_kwargs()
    return entry.model_validate({**{name: made[name] for name in wanted}, **given}, by_name=True)
