"""What an answer holds: records, as whole as the caller's plan lets them be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, cast

import httpx2
import orjson

from coffee_core.domain.envelope import EnvelopeModel, Status
from coffee_core.domain.ids import EntryT
from coffee_core.rest.fields import describe, gates_of
from coffee_core.rest.patch import partial_model

_PREVIOUS = re.compile(r'[?&]cursor=([\w-]+)[^>]*>; rel="prev"')


@dataclass(frozen=True, slots=True)
class Found(Generic[EntryT]):
    """A record and its version. Hand `etag` to the change that is based on it."""

    entry: EntryT
    etag: str | None
    locked: frozenset[str] = field(default=frozenset())
    """Fields that the caller's plan hides: they are None, whatever their type."""


class EntryReader(Generic[EntryT]):
    """Reads records of one Entry. A whole one is validated as it is.

    Of one that is not whole (the plan locks fields, or only some were asked for) what is there is validated; a locked
    field is None, and one that was not asked for has its default, or is not there (`AttributeError`) if it has none.
    """

    def __init__(self, entry: type[EntryT]) -> None:
        fields = describe(entry)
        self.names = {field.name: field.wire for field in fields.values()}
        """Wire names by field names."""
        self._entry = entry
        self._wire = {wire: name for name, wire in self.names.items()}
        self._envelope = EnvelopeModel[entry]  # type: ignore[valid-type]  # parametrised at run time
        self._partial = partial_model(entry)
        self._gated = frozenset(gates_of(entry))

    def envelope(self, content: bytes, *, partly: bool = False) -> EnvelopeModel[EntryT]:
        """The answer to a question for records; `partly` where only some fields were asked for."""
        document = orjson.loads(content)
        if not partly and not document["status"].get("lockedFields"):
            return self._envelope.model_validate(document)
        status = Status.model_validate(document["status"])
        locked = self.locked(status)
        return EnvelopeModel[EntryT].model_construct(
            data=[self.record(record, locked) for record in document["data"]],
            count=document["count"],
            total_count=document.get("totalCount"),
            status=status,
        )

    def page(self, answer: httpx2.Response, *, partly: bool = False) -> EnvelopeModel[EntryT]:
        """A page of a search, with the cursor of the page before it."""
        envelope = self.envelope(answer.content, partly=partly)
        envelope.status.previous_cursor = _previous(answer.headers.get("link", ""))
        return envelope

    def locked(self, status: Status) -> frozenset[str]:
        """The names of the fields that were locked."""
        return frozenset(self._wire.get(wire, wire) for wire in status.locked_fields or ())

    def record(self, document: Mapping[str, Any], locked: frozenset[str]) -> EntryT:
        """A record that may not be whole."""
        hidden = {self.names[name] for name in locked if name in self.names}
        there = {wire: value for wire, value in document.items() if wire not in hidden}
        part = self._partial.model_validate(there)
        values: dict[str, Any] = {name: getattr(part, name) for name in part.model_fields_set}
        return cast("EntryT", self._entry.model_construct(None, **values, **dict.fromkeys(locked & self.names.keys())))

    def line(self, line: str) -> EntryT:
        """A record of an export, from which locked fields were left out."""
        document = orjson.loads(line)
        missing = frozenset(name for name in self._gated if self.names[name] not in document)
        return self.record(document, missing)

    def wire_names(self, fields: Sequence[str]) -> str:
        """For the parameter `fields`."""
        return ",".join(self.names.get(name, name) for name in fields)


def _previous(link: str) -> str | None:
    """The cursor of the page before, of a Link header as a module writes it."""
    found = _PREVIOUS.search(link)
    return None if found is None else found[1]
