"""Cursors: signed and opaque; one holds its place and its whole search, and is good for that search alone."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import NamedTuple

import msgspec

from coffee_core.domain.errors import FieldError, InputError
from coffee_core.domain.search import Cursor, SearchQuery

TAG_BYTES = 12
FILTERS_HELD = 1024
"""Bytes of filters, as JSON, that a cursor holds: it travels in an address. Longer ones are sent with it each time."""


class Held(NamedTuple):
    """What a cursor holds, as JSON has it. `filters`: the list as the caller sent it, or the digest of a longer one.
    The last two are left out where both are false, as they are in every cursor that leads on."""

    sort_value: object
    id: object
    sort_by: str
    descending: bool
    filters: list[object] | str
    text: str | None
    before: bool = False
    backwards: bool = False


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Held).decode


def refused(detail: str) -> InputError:
    """What is wrong with the parameter `cursor`."""
    return InputError(f"parameter 'cursor' {detail}", errors=[FieldError("?cursor", detail)])


class CursorCodec:
    """`key` signs; `scope` (resource and partner) is signed as well, and not told."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(hashlib.sha256(b"coffee cursor" + key).digest(), digestmod="sha256")

    def _tag(self, payload: bytes, scope: bytes) -> bytes:
        tag = self._keyed.copy()  # begun with the key: a digest from the start takes half as long again
        tag.update(b"\0".join((payload, scope)))
        return tag.digest()[:TAG_BYTES]

    def encode(self, place: Cursor, query: SearchQuery, filters: list[object], scope: bytes) -> str:
        """A place among the rows of `query`, whose filters came as `filters`."""
        encoded = _encode(filters)
        kept = msgspec.Raw(encoded) if not filters or len(encoded) <= FILTERS_HELD else _digest(filters)
        held: tuple[object, ...] = (place.sort_value, place.id, query.sort_by, query.descending, kept, query.text)
        payload = _encode((*held, place.before, place.backwards) if place.before or place.backwards else held)
        return base64.urlsafe_b64encode(self._tag(payload, scope) + payload).decode().rstrip("=")

    def decode(self, text: str, scope: bytes) -> Held:
        """What it holds, or `InputError` if it was not given here, to this partner, for this resource."""
        try:
            raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            raise refused("is not one that was given here") from None
        tag, payload = raw[:TAG_BYTES], raw[TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(payload, scope)):
            raise refused("is not one that was given here")
        try:
            return _decode(payload)
        except msgspec.DecodeError:  # signed by an earlier release
            raise refused("is too old: begin with the first page") from None


def filters_of(held: Held, sent: object) -> object:
    """The filters of a page: what the cursor holds; what the caller sends with it (None: nothing) is the same."""
    if isinstance(held.filters, str):
        if sent is None:
            raise refused("needs its filters beside it: they are too long to be held in it")
        if not isinstance(sent, list) or _digest(sent) != held.filters:
            raise other_search()
        return sent
    if sent is not None and sent != held.filters:
        raise other_search()
    return held.filters


def other_search() -> InputError:
    """A cursor beside another search than its own."""
    return refused("was given for another search: send the same filters, text and sorting with it, or none of them")


def _digest(filters: list[object]) -> str:
    return hashlib.sha256(msgspec.json.encode(filters, order="sorted")).hexdigest()
