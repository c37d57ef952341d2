"""The Link header of paged answers (RFC 8288): where the next, previous and first page are."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlencode

from coffee_core.domain.search import SearchQuery
from coffee_core.rest import parameters
from coffee_core.wire.message import Request

_PLAIN = re.compile(rb"[A-Za-z0-9_.~=&,-]*").fullmatch
PLACES = (b"page=", b"cursor=")


def link_header(
    request: Request,
    search: SearchQuery,
    rest_of: Callable[[bytes], str],
    *,
    more: bool,
    cursor: str | None,
    back: str | None,
) -> bytes | None:
    """For a page of `search` that was asked for. By number where the caller asked by number, else by cursor.

    A search by POST is sent again with the same body; beside a cursor it may be left out. None: there is one page.
    `rest_of` is `without_place`, or what remembers its answers.
    """
    path, query = request.path, request.query
    if b"page=" in query:
        pages = [(rel, at) for rel, at, there in (
            ("next", search.page + 1, more), ("prev", search.page - 1, search.page > 1), ("first", 1, True)
        ) if there]  # fmt: skip
        if len(pages) == 1 and search.page == 1:
            return None
        rest = rest_of(query)
        return ", ".join([f'<{path}?{rest}page={at}>; rel="{rel}"' for rel, at in pages]).encode()
    places = [(rel, place) for rel, place in (("next", cursor), ("prev", back)) if place is not None]
    if not places:
        return None
    rest = rest_of(query)
    return ", ".join([f'<{path}?{rest}cursor={place}>; rel="{rel}"' for rel, place in places]).encode()


def without_place(query: bytes) -> str:
    """The parameters that say nothing of the page's place, each with an `&` behind it."""
    if not query:
        return ""
    if _PLAIN(query):
        kept = [part.decode() for part in query.split(b"&") if not part.startswith(PLACES)]
    else:  # percent-encoded, or of letters that a header does not carry: written anew
        given = parameters.parse(query, _Anything())
        kept = [urlencode([(name, value)]) for name, value in given.items() if f"{name}=".encode() not in PLACES]
    return "".join([part + "&" for part in kept])


class _Anything(tuple[str, ...]):
    """The parameters have been read: none is unknown any more."""

    __slots__ = ()

    def __contains__(self, _: object) -> bool:
        return True
