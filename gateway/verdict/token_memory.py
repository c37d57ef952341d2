"""What is remembered of tokens: those used just now in a dictionary, the others by their worth."""

from __future__ import annotations

from typing import Final

from coffee_core.cache.local import LocalCache
from gateway.verdict.exchange import TokenRecord

RECENT: Final = 4096
"""Tokens in the dictionary; when there are so many it is emptied, and filled again from the cache."""


class TokenMemory:
    """`kept` decides which tokens are worth their bytes. Asking it costs ten times what a dictionary does, so that the
    tokens of callers who are here now are in one, with the very same records: look into `recent`, then `get`."""

    __slots__ = ("_kept", "recent")

    def __init__(self, kept: LocalCache[TokenRecord]) -> None:
        self._kept = kept
        self.recent: dict[bytes, TokenRecord] = {}

    def get(self, token: bytes) -> TokenRecord | None:
        """The record, if there is one; its end is the caller's to look at."""
        record = self._kept.get(token)
        if record is not None:
            if len(self.recent) >= RECENT:
                self.recent.clear()
            self.recent[token] = record
        return record

    def set(self, token: bytes, record: TokenRecord) -> None:
        """In the place of one that was there."""
        self.recent.pop(token, None)
        self._kept.set(token, record)

    def clear(self) -> None:
        """All gone at once: the secrets have changed."""
        self.recent.clear()
        self._kept.clear()
