"""One decision, whoever moves the bytes."""

from __future__ import annotations

import gc
import json
import random
import re
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_network
from typing import NamedTuple

import pytest

from coffee_core.wire.head import read_request_head
from coffee_core.wire.header_lines import HeaderLines
from coffee_core.wire.request_memory import KnownHeaders, RequestMemory
from gateway.build import BuiltVerdict
from gateway.data_plane.forward_auth import Allowed, ForwardAuth, NotAllowed
from gateway.verdict.decision import RequestHead
from gateway.verdict.forwarding import TrustedProxies
from tests.gateway.verdict import rig
from tests.gateway.verdict.rig import TARGET, Identity, User

NGINX = (b"x-original-method", b"x-original-uri")
TRAEFIK = (b"x-forwarded-method", b"x-forwarded-uri")
SHARED = b"/profile-collection-service/api/collection/byshareid/abc"


@pytest.fixture
async def built() -> AsyncIterator[tuple[BuiltVerdict, Identity]]:
    async with Identity.serve() as identity, rig.running(rig.settings(identity, None)) as built:
        yield built, identity


class Heard(NamedTuple):
    """What the proxy hears."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""


async def ask(
    built: BuiltVerdict,
    headers: dict[bytes, bytes],
    *,
    target: bytes = b"/_gateway/verdict",
    method: bytes = b"GET",
    client: str = "127.0.0.1",
    more: Sequence[tuple[bytes, bytes]] = (),
    known: KnownHeaders | None = None,
) -> Heard:
    asking = RequestHead(method, target, [(b"host", b"g"), *headers.items(), *more], client, b"http", known)
    said = ForwardAuth(built.core, TrustedProxies([ip_network("127.0.0.0/8")]), 2).answer(asking)
    if not isinstance(said, (Allowed, NotAllowed)):
        said = await said
    if isinstance(said, NotAllowed):
        return Heard(said.response.status, said.response.headers, said.response.body)
    lines = [line.partition(b": ") for line in said.lines.split(b"\r\n")[:-1]]
    return Heard(200, [(name, value) for name, _, value in lines])


@pytest.mark.parametrize("style", [pytest.param(NGINX, id="nginx"), pytest.param(TRAEFIK, id="Caddy and Traefik")])
async def test_a_caller_with_a_session_is_let_through_with_his_identity(
    built: tuple[BuiltVerdict, Identity], style: tuple[bytes, bytes]
) -> None:
    verdict, identity = built
    user = User(identity, "SAAS")
    answer = await ask(verdict, {style[0]: b"POST", style[1]: TARGET + b"?a=1", **dict([user.bearer()])})
    said = dict(answer.headers)
    assert answer.status == 200
    assert said[b"x-bb-partner-id"].decode() == user.partner
    assert said[b"x-bb-plan-type"] == b"SAAS"
    assert (said[b"x-bb-upstream"], said[b"x-bb-target"]) == (b"saas", TARGET + b"?a=1")
    assert said[b"cache-control"] == b"private, max-age=2"


async def test_what_a_proxy_may_keep_says_all_headers_that_it_depends_on(built: tuple[BuiltVerdict, Identity]) -> None:
    verdict, identity = built
    bearer = dict([User(identity).bearer()])
    for style in (NGINX, TRAEFIK):
        said = dict((await ask(verdict, {style[0]: b"GET", style[1]: TARGET, **bearer})).headers)
        assert said[b"cache-control"] == b"private, max-age=2"
        varies = {name.strip().lower() for name in said[b"vary"].split(b",")}
        assert varies >= {b"authorization", b"cookie", b"origin", *style}


async def test_envoy_names_the_request_behind_the_prefix(built: tuple[BuiltVerdict, Identity]) -> None:
    verdict, identity = built
    bearer = dict([User(identity).bearer()])
    answer = await ask(verdict, bearer, target=b"/_gateway/verdict" + TARGET + b"?a=1", method=b"PATCH")
    assert answer.status == 200
    said = dict(answer.headers)
    assert said[b"x-bb-target"] == TARGET + b"?a=1"
    assert said[b"x-envoy-auth-headers-to-remove"].startswith(b"x-bb-deviceid,")


async def test_an_anonymous_caller_gets_empty_identity_headers_that_overwrite_his_own(
    built: tuple[BuiltVerdict, Identity],
) -> None:
    answer = await ask(built[0], {NGINX[0]: b"GET", NGINX[1]: SHARED, b"x-bb-partner-id": b"7"})
    said = dict(answer.headers)
    assert answer.status == 200
    identity = b"x-bb-partner-id x-bb-account-id x-bb-uid x-bb-plan-type x-bb-identity".split()
    assert [said[name] for name in identity] == [b""] * 5


@pytest.mark.parametrize(
    ("target", "status"),
    [(TARGET, 401), (b"/nothing", 404), (b"/discovery-service/../x", 400), (b"/metrics", 404)],
)
async def test_a_refusal_has_its_status_and_is_not_kept(
    built: tuple[BuiltVerdict, Identity], target: bytes, status: int
) -> None:
    answer = await ask(built[0], {NGINX[0]: b"GET", NGINX[1]: target})
    assert answer.status == status
    assert dict(answer.headers).get(b"cache-control", b"no-store") == b"no-store"


async def test_a_request_that_is_named_in_two_ways_gets_no_verdict(built: tuple[BuiltVerdict, Identity]) -> None:
    """Under a proxy that sets one pair a caller can send the other: he must not get a verdict on a public path."""
    named = {NGINX[0]: b"GET", NGINX[1]: SHARED}
    assert (await ask(built[0], named)).status == 200
    assert (await ask(built[0], {**named, TRAEFIK[0]: b"GET", TRAEFIK[1]: SHARED})).status == 200
    for lie in (
        {TRAEFIK[0]: b"GET", TRAEFIK[1]: TARGET},
        {TRAEFIK[0]: b"DELETE", TRAEFIK[1]: SHARED},
        {TRAEFIK[1]: SHARED},
        {TRAEFIK[0]: b"GET"},
    ):
        assert (await ask(built[0], named | lie)).status == 400
    assert (await ask(built[0], named, target=b"/_gateway/verdict" + TARGET)).status == 400
    assert (await ask(built[0], {NGINX[1]: SHARED})).status == 400
    assert (await ask(built[0], {})).status == 400


@pytest.mark.parametrize("target", [b"/discovery%2Dservice/api/profile/1", TARGET + b"/%7e", TARGET + b"/%c3%a9"])
async def test_a_proxy_that_does_not_rewrite_gets_no_verdict_on_another_spelling(
    built: tuple[BuiltVerdict, Identity], target: bytes
) -> None:
    """The decision is that of the path that the upstream sees."""
    verdict, identity = built
    bearer = dict([User(identity).bearer()])
    assert (await ask(verdict, {NGINX[0]: b"GET", NGINX[1]: target} | bearer)).status == 200
    assert (await ask(verdict, {TRAEFIK[0]: b"GET", TRAEFIK[1]: target} | bearer)).status == 400
    assert (await ask(verdict, bearer, target=b"/_gateway/verdict" + target)).status == 400


async def test_nginx_is_told_in_headers_what_it_cannot_pass_on(built: tuple[BuiltVerdict, Identity]) -> None:
    answer = await ask(built[0], {NGINX[0]: b"GET", NGINX[1]: TARGET})
    said = dict(answer.headers)
    assert (answer.status, said[b"x-bb-status"]) == (401, b"401")
    assert json.loads(said[b"x-bb-problem"]) == json.loads(answer.body)
    answer = await ask(built[0], {TRAEFIK[0]: b"GET", TRAEFIK[1]: TARGET})
    assert b"x-bb-problem" not in dict(answer.headers)


async def test_strangers_cannot_ask(built: tuple[BuiltVerdict, Identity]) -> None:
    answer = await ask(built[0], {NGINX[0]: b"GET", NGINX[1]: SHARED}, client="203.0.113.1")
    assert answer.status == 404


async def test_a_header_that_names_the_request_twice_gets_no_verdict(built: tuple[BuiltVerdict, Identity]) -> None:
    named = {NGINX[0]: b"GET", NGINX[1]: SHARED}
    assert (await ask(built[0], named, more=[(NGINX[1], TARGET)])).status == 400


async def test_every_answer_has_the_request_id_of_the_decision_and_the_refusals_problem_says_the_same(
    built: tuple[BuiltVerdict, Identity],
) -> None:
    sent = b"01900000-0000-7000-8000-00000000abcd"
    for target in (SHARED, TARGET):
        answer = await ask(built[0], {NGINX[0]: b"GET", NGINX[1]: target, b"x-bb-requestid": sent})
        assert [value for name, value in answer.headers if name == b"x-bb-requestid"] == [sent]
        assert not answer.body or json.loads(answer.body)["requestId"].encode() == sent


async def test_who_asks_for_it_is_told_no_empty_headers(built: tuple[BuiltVerdict, Identity]) -> None:
    named = {NGINX[0]: b"GET", NGINX[1]: SHARED}
    all_of_it = (await ask(built[0], named)).headers
    bare = (await ask(built[0], named, target=b"/_gateway/verdict?bare")).headers
    assert [name for name, _ in bare] == [name for name, value in all_of_it if value]


async def test_cookies_of_several_lines_are_set_as_one(built: tuple[BuiltVerdict, Identity]) -> None:
    """An upstream that takes credentials gets them in lines; a proxy copies one."""
    named = {NGINX[0]: b"POST", NGINX[1]: b"/identity-service/api/auth/login", b"sec-fetch-site": b"same-origin"}
    answer = await ask(built[0], named, more=[(b"cookie", b"a=1"), (b"cookie", b"b=2")])
    assert answer.status == 200
    assert [value for name, value in answer.headers if name == b"cookie"] == [b"a=1; b=2"]


IDS = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|00-[0-9a-f]{32}-[0-9a-f]{16}-00")
LEFT = re.compile(rb"r=[0-9]+;t=[0-9]+")


def without_ids(heard: Heard) -> str:
    return LEFT.sub(b"LEFT", IDS.sub(b"ID", repr(heard).encode())).decode()


async def test_memory_changes_no_answer_whatever_was_asked_with_these_headers_before(
    built: tuple[BuiltVerdict, Identity],
) -> None:
    """Ways of asking, targets, callers and proxies in any order."""
    _, identity = built
    config = rig.settings(identity, None, trusted_proxies=(ip_network("127.0.0.0/8"),))
    user, other = User(identity), User(identity, plan="FREE")
    trace = [(b"traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-00"), (b"tracestate", b"a=traceparent: b")]
    sets: list[tuple[dict[bytes, bytes], list[tuple[bytes, bytes]]]] = [
        (dict(zip(style, (b"GET", path), strict=True)), more)
        for style in (NGINX, TRAEFIK)
        for path in (TARGET, SHARED, b"/identity-service/api/me", b"/nothing")
        for more in ([user.bearer()], [other.bearer(), *trace], [(b"cookie", b"a=b"), (b"cookie", b"c=d")], trace)
    ]
    sets.append(({}, [user.bearer()]))
    targets = (
        b"/_gateway/verdict",
        b"/_gateway/verdict?bare",
        b"/_gateway/verdict/nothing",
        b"/_gateway/verdict" + TARGET,
    )
    async with rig.running(config) as trusting:
        everything = [
            (number, target, client) for number in range(len(sets)) for target in targets
            for client in ("127.0.0.1", "127.0.0.2", "203.0.113.9")
        ] * 2  # fmt: skip
        random.Random(7).shuffle(everything)
        remembered: dict[int, KnownHeaders] = {}
        statuses = set()
        for number, target, client in everything:
            headers, more = sets[number]
            known = remembered.setdefault(number, KnownHeaders([(b"host", b"g"), *headers.items(), *more], b"g"))
            heard = await ask(trusting, headers, target=target, client=client, more=more, known=known)
            fresh = await ask(trusting, headers, target=target, client=client, more=more)
            assert without_ids(heard) == without_ids(fresh), (number, target, client)
            statuses.add(heard.status)
        assert {200, 400, 404} <= statuses


async def test_what_a_proxy_asked_is_forgotten_with_the_headers_it_asked_by(
    built: tuple[BuiltVerdict, Identity],
) -> None:
    """Tokens among them: no cycle may keep what nobody can reach."""
    verdict, identity = built
    user, memory = User(identity), RequestMemory(100)

    async def asked(number: int) -> bool:
        token = user.token(jti=str(number)).encode()
        block = b"GET /_gateway/verdict?bare HTTP/1.1\r\nhost: g\r\nauthorization: Bearer %b\r\n\r\n" % token
        known = read_request_head(block, HeaderLines(100), 1000, 100, memory).known
        more = [(b"authorization", b"Bearer " + token)]
        for _ in range(4):
            assert (await ask(verdict, {NGINX[0]: b"GET", NGINX[1]: TARGET}, more=more, known=known)).status == 200
        return known is not None

    def alive() -> int:
        return sum(isinstance(each, KnownHeaders) for each in gc.get_objects())

    gc.collect()
    gc.disable()
    before = alive()
    try:
        assert sum([await asked(number) for number in range(20)]) > 10
        memory.forget()
        assert alive() == before
    finally:
        gc.enable()
