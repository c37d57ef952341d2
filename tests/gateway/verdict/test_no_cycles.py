"""What is kept of requests goes by itself: the garbage collector does not look at it, so none of it may be a cycle."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from ipaddress import ip_network

from msgspec import Struct

from coffee_core.wire.request_memory import KnownHeaders
from gateway.build import BuiltVerdict
from gateway.data_plane.forward_auth import PREFIX, Allowed, ForwardAuth
from gateway.verdict.forwarding import TrustedProxies
from gateway.verdict.headers import ReadHead
from gateway.verdict.meter import Meter
from gateway.verdict.routes import Route
from tests.gateway.verdict.rig import TARGET, Identity, User, remembered, request


def parts(of: object) -> Iterable[object]:
    """What it refers to; nothing for what lives as long as the gateway."""
    if isinstance(of, (Route, Meter)):
        return []
    if isinstance(of, Struct):
        return [getattr(of, name) for name in of.__struct_fields__]
    if isinstance(of, dict):
        return [*of, *of.values()]
    if isinstance(of, (list, tuple)):
        return of
    return [getattr(of, name) for name in getattr(of, "__slots__", ())]


def is_in_a_cycle(of: object, above: tuple[int, ...] = ()) -> bool:
    return id(of) in above or any(is_in_a_cycle(part, (*above, id(of))) for part in parts(of))


async def test_what_is_kept_of_a_caller_and_his_requests_refers_to_nothing_that_refers_back(
    verdict: BuiltVerdict, identity: Identity
) -> None:
    user, questions = User(identity), ForwardAuth(verdict.core, TrustedProxies([ip_network("203.0.113.0/24")]), 5.0)
    named = ((b"x-original-method", b"GET"), (b"x-original-uri", TARGET))
    asking = remembered(request(PREFIX.encode(), user.bearer(), *named))
    known = asking.known
    assert known is not None
    for _ in range(3):
        said = questions.answer(asking)
        assert isinstance(await said if isinstance(said, Awaitable) else said, Allowed)
    read, record = known.note, verdict.core._parts.tokens.get(user.bearer()[1][7:])
    assert isinstance(read, ReadHead)
    assert read.passed is not None
    assert known.asked is not None
    assert record is not None
    assert record.built
    assert not is_in_a_cycle(known)
    assert not is_in_a_cycle(record)


def test_a_cycle_would_be_found() -> None:
    known = KnownHeaders([], b"")
    known.note = {"of": [known]}
    assert is_in_a_cycle(known)
