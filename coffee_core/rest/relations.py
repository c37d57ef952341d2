"""The related fields of one Manager: checked when it is made, filled a page at a time. The kinds: `rest/related.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy.orm import InstrumentedAttribute

from coffee_core.domain.context import current
from coffee_core.domain.entity import Entity
from coffee_core.domain.entry import Entry
from coffee_core.rest.fields import describe


class Relation(Protocol):
    """How a related field is filled: see `coffee_core.rest.related`."""

    @property
    def of(self) -> InstrumentedAttribute[Any]:
        """The attribute of the base Entity that leads to the related rows."""
        ...

    async def load(self, keys: Sequence[Any]) -> Mapping[object, object]:  # Any: values of whatever type `of` has
        """The field's value for each key that has one; one statement."""
        ...


class Relations:
    """`declared` names each field that the Entry marks as `Related`, and no other."""

    def __init__(self, entry: type[Entry], entity: type[Entity], declared: Mapping[str, Relation] | None) -> None:
        self._fields = describe(entry)
        self.declared = dict(declared or {})
        marked = {name: field.related for name, field in self._fields.items() if field.related is not None}
        if marked.keys() != self.declared.keys():
            raise TypeError(
                f"{entry.__name__} marks {sorted(marked)} as related, and its Manager is told how to fill "
                f"{sorted(self.declared)}: related={{...}} names each of them"
            )
        for name, relation in self.declared.items():
            if relation.of.class_ is not entity:
                raise TypeError(
                    f"{entry.__name__}.{name} is related by {relation.of}, which is not of {entity.__name__}"
                )
        self.always = tuple(name for name, mark in marked.items() if mark.always)
        """Those in every answer."""

    def keys(self, fields: Sequence[str], read: Sequence[str]) -> tuple[str, ...]:
        """The columns that lead to those of `fields` that are related, where they are not `read` anyway."""
        keys = [self.declared[name].of.key for name in fields if name in self.declared]
        return tuple(dict.fromkeys(key for key in keys if key not in read))

    async def fill(self, names: Sequence[str], entities: Sequence[Entity], entries: Sequence[Entry]) -> None:
        """One statement for each of `names` that is related and not locked."""
        plan = current().plan
        for name in names:
            relation = self.declared.get(name)
            if relation is None or self._fields[name].plan > plan:
                continue
            keys = [vars(entity)[relation.of.key] for entity in entities]
            known = list(dict.fromkeys(key for key in keys if key is not None))
            found = await relation.load(known) if known else {}
            for entry, key in zip(entries, keys, strict=True):
                vars(entry)[name] = found.get(key)
