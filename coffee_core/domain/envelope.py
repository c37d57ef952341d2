"""What every success looks like on the wire: PLATFORM section 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from coffee_core.domain.ids import EntryT


class Status(BaseModel):
    """How it went. `locked_fields` names what the caller's plan hides. `previous_cursor` is not in the body: a client
    finds it in the header `Link`."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    status: str = "SUCCESS"
    message: str = ""
    next_cursor: str | None = None
    previous_cursor: str | None = None
    locked_fields: Sequence[str] | None = None


class EnvelopeModel(BaseModel, Generic[EntryT]):
    """The envelope as a model: for clients and for the API description. Servers write it by hand, faster."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    data: Sequence[EntryT]
    count: int
    total_count: int | None = None
    status: Status
