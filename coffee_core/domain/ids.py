"""The type variables that run through every layer: `Generic[EntryT, EntityT, IdT]`."""

import uuid

from typing_extensions import TypeVar

from coffee_core.domain.entity import Entity
from coffee_core.domain.entry import Entry

EntryT = TypeVar("EntryT", bound=Entry)
"""What goes over the wire."""

EntityT = TypeVar("EntityT", bound=Entity)
"""What is stored."""

IdT = TypeVar("IdT", bound=int | str | uuid.UUID, default=int)
"""The primary key's type. A bound, not constraints: a constrained variable is not inferred through the layers."""

IdT_contra = TypeVar("IdT_contra", bound=int | str | uuid.UUID, contravariant=True, default=int)
"""The same, where an id is only taken in."""
