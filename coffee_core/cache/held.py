"""All values that anybody still holds, in the in-process tier or out of it, by key."""

from __future__ import annotations

from typing import Generic, TypeVar
from weakref import ref

T = TypeVar("T")


class Held(Generic[T]):
    """A `WeakValueDictionary` that does what a cache needs of it at a third of the price: a value is put in for every
    session that is met for the first time. Made once for the life of the process.
    """

    def __init__(self) -> None:
        self._refs: dict[str, _Ref[T]] = {}
        self._gone = self._forget

    def get(self, key: str) -> T | None:
        """The value, while somebody holds it."""
        held = self._refs.get(key)
        return None if held is None else held()

    def put(self, key: str, value: T) -> T | None:
        """Remember it for as long as it is held; what was there under this key is given back."""
        before = self._refs.get(key)
        held = _Ref(value, self._gone)
        held.key = key
        self._refs[key] = held
        return None if before is None else before()

    def pop(self, key: str) -> T | None:
        """The value, and no more of it."""
        held = self._refs.pop(key, None)
        return None if held is None else held()

    def __len__(self) -> int:
        return len(self._refs)

    def _forget(self, gone: ref[T]) -> None:
        assert isinstance(gone, _Ref)
        if self._refs.get(gone.key) is gone:
            del self._refs[gone.key]


class _Ref(ref[T]):
    __slots__ = ("key",)

    key: str
