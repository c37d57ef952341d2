"""The parameters of a statement: declared while it is compiled, filled with the values of each call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from coffee_core.stores.values import Reader

Make = Callable[[Any], object]  # takes a checked value of any column type, or None


class Parameter(NamedTuple):
    """`make` turns the value at position `value_at` into what is sent."""

    name: str
    value_at: int
    make: Make


class Binds:
    """Values are never written into SQL: each is sent beside it, with a type."""

    def __init__(self) -> None:
        self.readers: list[Reader] = []
        self.parameters: list[Parameter] = []

    def value(self, read: Reader) -> int:
        """The position of the next value; `read` checks it."""
        self.readers.append(read)
        return len(self.readers) - 1

    def parameter(self, value_at: int, type_: str, make: Make) -> str:
        """A placeholder for the value at this position: `{p0:Int64}`."""
        name = f"p{len(self.parameters)}"
        self.parameters.append(Parameter(name, value_at, make))
        return f"{{{name}:{type_}}}"

    def scalar(self, read: Reader, type_: str, send: Make) -> str:
        """A placeholder for the next value, which may be NULL."""

        def make(value: Any) -> object:
            return None if value is None else send(value)

        return self.parameter(self.value(read), f"Nullable({type_})", make)

    def read(self, values: Sequence[object]) -> list[Any]:
        """The values, each checked."""
        return [read(value) for read, value in zip(self.readers, values, strict=True)]

    def fill(self, read: Sequence[Any]) -> dict[str, object]:
        """What is sent, of values that were checked."""
        return {parameter.name: parameter.make(read[parameter.value_at]) for parameter in self.parameters}
