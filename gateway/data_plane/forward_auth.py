"""`GET /_gateway/verdict`: the same verdict for whoever else moves the bytes (nginx, Caddy, Traefik, Envoy).

The proxy sends the caller's own headers along and names the request in one of these ways:

- `x-original-method` and `x-original-uri`: it promises to send on `x-bb-target` to `x-bb-upstream` (nginx, Caddy);
- `x-forwarded-method` and `x-forwarded-uri` (Traefik), or the caller's method and path behind the prefix
  `/_gateway/verdict` (Envoy's ext_authz): it sends on the path as it came, so that one has to be canonical.

A request that is named in two ways that differ gets no verdict. Answers: 200 with the headers to set for the upstream
and for the caller, or the refusal's status, headers and problem. `cache-control` says how long a 200 may be kept per
credential, path and method. With `x-original-*` a refusal has its problem in `x-bb-problem` and its status in
`x-bb-status` as well, for nginx, whose auth_request sees no body and takes no status but 401 and 403.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from msgspec import Struct

from coffee_core.wire.errors import WireError
from coffee_core.wire.message import Response
from coffee_core.wire.target import normalise
from gateway.verdict.decision import Answered, Decision, Forward, Local, Refused, RequestHead, Verdict
from gateway.verdict.forwarding import TrustedProxies
from gateway.verdict.headers import new_request_id
from gateway.verdict.problem import PROBLEM, problem_body

ORIGINAL_METHOD: Final = b"x-original-method"
NAMES: Final = frozenset((ORIGINAL_METHOD, b"x-original-uri", b"x-forwarded-method", b"x-forwarded-uri"))
STYLES: Final = ((ORIGINAL_METHOD, b"x-original-uri"), (b"x-forwarded-method", b"x-forwarded-uri"))
PREFIX: Final = "/_gateway/verdict"
BEHIND: Final = PREFIX.encode() + b"/"
UNNAMED: Final = (
    "name the request that is asked about in one way: x-original-method and x-original-uri, or x-forwarded-method and "
    "x-forwarded-uri, or behind the prefix"
)
SET: Final = tuple(
    b"x-bb-partner-id x-bb-account-id x-bb-uid x-bb-plan-type x-bb-identity x-bb-deviceid x-bb-clientid "
    b"x-bb-clienttype x-bb-version authorization cookie traceparent tracestate".split()
)
"""Lines of the forward head that the proxy has to set for the upstream, besides the request id, which is in every
answer of the gateway. Empty ones are sent for those that are not there, so that a proxy that copies them overwrites
what the caller claimed."""
_set_lines: Final = re.compile(rb"\n((?:%b): [^\r]*\r)" % b"|".join(SET)).findall
"""The lines of a head that are set, without their line feed. It begins with the line feed of the line before, which is
found faster than the beginning of a line."""
BARE: Final = b"?bare"
"""The query by which a proxy that takes what is not said for nothing (nginx, for its variables) spares both sides the
empty lines."""
MOST: Final = 15 * 1024
"""Bytes of an answer to a proxy that rewrites. nginx reads it into a buffer of 16 KiB: a larger one would be fetched
from the system, and given back, for each request."""
TRACE: Final = b"\r\ntraceparent: "
"""A line of the head, and no part of another's value: those have no line ends."""
REQUEST_ID: Final = b"x-bb-requestid: "
REMOVE: Final = b"x-envoy-auth-headers-to-remove"
NO_STORE: Final = (b"cache-control", b"no-store")


class _Named(NamedTuple):
    """The request that is asked about."""

    method: bytes
    target: bytes
    rewrites: bool
    """Whether the proxy sends on the target that it is told."""
    removes: bool = False
    """Whether it takes headers away that it is told to (Envoy), and need not overwrite them with nothing."""
    bare: bool = False
    """Whether it asked for no empty lines."""


class _Before:
    """What is known of questions with the same headers: kept with those, see `KnownHeaders`."""

    __slots__ = ("lines", "method", "named", "names", "start", "target")

    def __init__(self, asking: RequestHead) -> None:
        self.method = asking.method
        self.target = asking.target
        self.named = _named(asking)
        self.start = b""
        """Of the forward head that was the answer to the last one, all before its trace."""
        self.lines = b""
        """Those of it that are set, each with its end."""
        self.names: list[bytes] = []
        """Theirs."""

    def read(self, start: bytes) -> None:
        """Taking a head apart costs more than all else."""
        kept: list[bytes] = _set_lines(b"\n" + start)
        if start.count(b"cookie: ") > 1:
            kept = _one_cookie(kept)
        self.start, self.lines = start, b"\n".join([*kept, b""])
        self.names = [line[: line.find(b":")] for line in kept]


class Allowed(Struct, frozen=True):
    """Let it through."""

    lines: bytes
    """Of the answer, each ending in CRLF, the request id among them."""
    request_id: bytes


class NotAllowed(Struct, frozen=True):
    """A refusal, or the answer to a preflight."""

    response: Response
    request_id: bytes


Said: TypeAlias = Allowed | NotAllowed


class ForwardAuth:
    """Asks the verdict on behalf of a proxy on one of the networks `asked_from`; for all others it does not exist."""

    def __init__(self, verdict: Verdict, asked_from: TrustedProxies, keep_seconds: float) -> None:
        self._verdict = verdict
        self._asked_from = asked_from
        self._kept = (
            b"cache-control: private, max-age=%d\r\n"
            b"vary: Authorization, Cookie, Origin, X-Original-Method, X-Original-URI, X-Forwarded-Method, "
            b"X-Forwarded-Uri\r\n" % int(keep_seconds)
        )

    def answer(self, asking: RequestHead) -> Said | Awaitable[Said]:
        """What is said to the proxy; at once when the caches know enough, like the verdict itself. This is the only
        decision of such a request: whoever asks has not been decided about himself."""
        if asking.peer not in self._asked_from:
            nothing = Refused(404, "Not Found", "nothing is here", [], new_request_id(), "")
            return _refusal(nothing, PREFIX.encode(), rewrites=False)
        known = asking.known
        before = known.asked if known is not None else None
        if not isinstance(before, _Before) or before.target != asking.target or before.method != asking.method:
            before = _Before(asking)
            if known is not None:
                known.asked = before
        named = before.named
        if named is None:
            return _refusal(Refused(400, "Bad Request", UNNAMED, [], new_request_id(), ""), b"", rewrites=True)
        decision = self._verdict.decide(
            RequestHead(named.method, named.target, asking.headers, asking.peer, asking.scheme, asking.known)
        )
        if isinstance(decision, (Forward, Refused, Answered, Local)):
            return self._said(decision, named, before)
        return self._said_later(decision, named, before)

    async def _said_later(self, decision: Awaitable[Decision], named: _Named, before: _Before) -> Said:
        return self._said(await decision, named, before)

    def _said(self, decision: Decision, named: _Named, before: _Before) -> Said:
        if isinstance(decision, Forward) and not named.rewrites:
            decision = _as_it_came(decision, named.target)
        if isinstance(decision, Forward):
            lines = self._lines(decision, named, before)
            if len(lines) <= MOST or not named.rewrites:
                return Allowed(lines, decision.request_id)
            decision = _too_large(decision)
        if isinstance(decision, Answered):
            return _preflight(decision)
        if isinstance(decision, Refused):
            return _refusal(decision, named.target.partition(b"?")[0], rewrites=named.rewrites)
        here = Refused(404, "Not Found", "nothing is here for a proxy", [], decision.request_id, "")
        return _refusal(here, b"", rewrites=named.rewrites)

    def _lines(self, forward: Forward, named: _Named, before: _Before) -> bytes:
        """The forward head's own lines are passed on as they are; its end are the trace and the request's id."""
        head = forward.head
        end = len(before.start)
        if not (end and head.startswith(before.start) and head.startswith(TRACE, end - 2)):
            end = head.rfind(TRACE) + 2
            before.read(head[:end])
        trace = head[end : head.rfind(REQUEST_ID, end)]
        absent = b""
        if named.removes or not named.bare:
            there = [*before.names, b"traceparent", *([b"tracestate"] if b"\r\ntracestate: " in trace else [])]
            absent = _absent(tuple(there), removes=named.removes)
        upstream = forward.passage.upstream.encode()
        return b"%b%b%b%bx-bb-upstream: %b\r\nx-bb-target: %b\r\n%b" % (
            before.lines, trace, absent, forward.answer_head, upstream, forward.target, self._kept,
        )  # fmt: skip


def _one_cookie(lines: list[bytes]) -> list[bytes]:
    """Of what is set only cookies may be there more than once; a proxy copies one line."""
    cookies = [line[8:-1] for line in lines if line.startswith(b"cookie: ")]
    others = [line for line in lines if not line.startswith(b"cookie: ")]
    return [*others, b"cookie: %b\r" % b"; ".join(cookies)] if cookies else others


@lru_cache(maxsize=256)
def _absent(names: tuple[bytes, ...], *, removes: bool) -> bytes:
    """The lines about what is not set."""
    absent = [name for name in SET if name not in names]
    if removes:
        return b"%b: %b\r\n" % (REMOVE, b",".join(absent))
    return b"".join([name + b": \r\n" for name in absent])


def _as_it_came(decision: Forward, target: bytes) -> Decision:
    """A proxy that does not rewrite may only send on what was decided about (aliases are its own configuration)."""
    try:
        path, query = normalise(target)
    except WireError as error:  # it was decided about: this cannot be
        return Refused(400, "Bad Request", error.detail, [], decision.request_id, decision.route)
    canonical = path + b"?" + query if query else path
    if canonical == target:
        return decision
    return Refused(
        400, "Bad Request", "the path is not in its canonical spelling: unescape what needs no escape, and use upper "
        "case hex digits", [], decision.request_id, decision.route,
    )  # fmt: skip


def _too_large(decision: Forward) -> Refused:
    return Refused(
        431, "Request Header Fields Too Large", f"path and cookies have more than {MOST >> 10} KiB", [],
        decision.request_id, decision.route,
    )  # fmt: skip


def _preflight(decision: Answered) -> NotAllowed:
    """A preflight is answered, not let through; only nginx's way of asking has a word for that."""
    headers = [*decision.headers, (b"x-bb-status", b"%d" % decision.status), NO_STORE]
    return _not_allowed(Response(403, b"", content_type=None, headers=headers), decision.request_id)


def _refusal(refused: Refused, path: bytes, *, rewrites: bool) -> NotAllowed:
    body = problem_body(refused, path)
    headers = [*refused.headers, NO_STORE]
    if rewrites:
        headers += [(b"x-bb-status", b"%d" % refused.status), (b"x-bb-problem", _ascii(body))]
    return _not_allowed(Response(refused.status, body, content_type=PROBLEM, headers=headers), refused.request_id)


def _not_allowed(response: Response, request_id: bytes) -> NotAllowed:
    response.headers.append((b"x-bb-requestid", request_id))
    return NotAllowed(response, request_id)


def _ascii(body: bytes) -> bytes:
    """The same JSON without a byte that a header may not have."""
    return body if body.isascii() else json.dumps(json.loads(body), separators=(",", ":")).encode()


def _named(asking: RequestHead) -> _Named | None:
    """The request that is asked about; `None` if it is not named, or named in two ways.

    A caller can send any of these headers along. What the proxy overwrites he cannot forge, and what it does not
    overwrite must therefore say the same, or there is no verdict.
    """
    naming = [line for line in asking.headers if line[0] in NAMES]
    told = dict(naming)
    if len(told) != len(naming):
        return None
    if len(told) == 2 and not asking.target.startswith(BEHIND):  # nearly always: nginx and Caddy
        method, target = told.get(ORIGINAL_METHOD, b""), told.get(b"x-original-uri", b"")
        if method and target:
            return _Named(method, target, rewrites=True, bare=asking.target.endswith(BARE))
    said = {
        (told.get(method, b""), told.get(target, b"")) for method, target in STYLES if method in told or target in told
    }
    behind = asking.target[len(BEHIND) - 1 :] if asking.target.startswith(BEHIND) and asking.target != BEHIND else b""
    if behind:
        said.add((asking.method, behind))
    if len(said) != 1:
        return None
    ((method, target),) = said
    if not method or not target:
        return None
    return _Named(method, target, ORIGINAL_METHOD in told and not behind, bool(behind), asking.target.endswith(BARE))
