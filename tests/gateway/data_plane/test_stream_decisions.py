"""What is answered over one connection is what the verdict decides about the same request, whatever came before."""

from __future__ import annotations

import base64
import itertools
import json
import random
import re
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coffee_core.wire.answer import status_line
from coffee_core.wire.server import REMEMBERS
from gateway.build import BuiltVerdict
from gateway.data_plane.own_answers import answered, refused
from gateway.verdict.decision import Answered, Decision, Forward, Local, Refused, RequestHead
from tests.gateway.data_plane.conftest import Start
from tests.gateway.verdict import rig
from tests.gateway.verdict.rig import TARGET, Identity, User
from tests.support.verdict_proxy import HTTP, HTTPS, OPENING, PEER, VerdictProxy, get

SHARED = b"/profile-collection-service/api/collection/byshareid/abc"
ORIGIN = b"https://app.example.com"
SCHEMES = (b"http", b"https")
Header = tuple[bytes, bytes]


@pytest.fixture
async def world() -> AsyncIterator[tuple[Identity, BuiltVerdict]]:
    async with Identity.serve() as identity:
        config = rig.settings(
            identity, None, cors_origins=(ORIGIN.decode(),), trusted_proxies=(ip_network("10.0.0.0/8"),)
        )
        async with rig.running(config) as built:
            yield identity, built


@pytest.fixture
async def proxy(start: Start, world: tuple[Identity, BuiltVerdict]) -> AsyncIterator[VerdictProxy]:
    """Of the real verdict."""
    plane = await start(asked_from="127.0.0.0/8", verdict=world[1].core)
    async with await VerdictProxy.open(await plane.client()) as proxy:
        yield proxy


IDS = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|00-[0-9a-f]{32}-[0-9a-f]{16}-00")
LEFT = re.compile(rb"r=[0-9]+;t=[0-9]+")


SIGNED = re.compile(rb"x-bb-identity: [^.]+\.([^.]+)\.[\w-]+")


def without_ids(told: tuple[object, ...]) -> str:
    """Nor the times of statements: the same one is signed anew every now and then."""
    return LEFT.sub(b"LEFT", IDS.sub(b"ID", SIGNED.sub(stated, repr(told).encode()))).decode()


def stated(signed: re.Match[bytes]) -> bytes:
    said = json.loads(base64.urlsafe_b64decode(signed[1] + b"=="))
    assert said.pop("iat") < said.pop("exp")
    return repr(said).encode()


def expected(decision: Decision, target: bytes, upgrade: bytes = b"") -> tuple[object, ...]:
    """What a proxy has to be told of it: status, lines but for the id, caller, target, rest."""
    if isinstance(decision, Forward):
        said = b"x-bb-requestid: %b\r\n" % decision.request_id
        passage = decision.passage
        assert decision.answer_head.startswith(said)
        return (
            0,
            decision.answer_head.removeprefix(said),
            b"\t".join((passage.partner, passage.uid, passage.plan)),
            passage.upstream.encode() + decision.target,
            upgrade + decision.head,
        )
    if isinstance(decision, Local):
        decision = Refused(404, "Not Found", "nothing is here for a proxy", [], decision.request_id, "")
    path = target.partition(b"?")[0]
    response = refused(decision, path) if isinstance(decision, Refused) else answered(decision)
    assert isinstance(decision, Answered) != bool(response.body)
    about = [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")] if response.body else []
    lines = [*about, *[each for each in response.headers if each[0] != b"x-bb-requestid"]]
    return response.status, b"".join([b"%b: %b\r\n" % line for line in lines]), b"", b"", response.body


def head_of(method: bytes, target: bytes, headers: list[Header], *, mixed: bool = False) -> bytes:
    lines = [b"%b:%b%b \r\n" % (name.title(), b"\t", value) if mixed else b"%b: %b\r\n" % (name, value)
             for name, value in headers]  # fmt: skip
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, b"".join(lines))


METHODS = (b"GET", b"HEAD", b"POST", b"DELETE", b"OPTIONS")
TARGETS = (
    TARGET, TARGET + b"?a=1&b=%20", b"/discovery%2Dservice/api/profile/1", b"/discovery-service/../x",
    b"/discovery-service//a", TARGET + b"?a=%zz", SHARED, b"/auth/login", b"/identity-service/api/me", b"/nothing",
    b"/_gateway/verdict", b"/_gateway/api/x", b"/", b"/me", b"/metrics",
)  # fmt: skip


async def test_the_answer_is_the_verdicts_own_whatever_was_asked_before(
    proxy: VerdictProxy, world: tuple[Identity, BuiltVerdict]
) -> None:
    """Methods, targets, callers, peers and schemes in any order, each often enough for its headers to be known."""
    identity, built = world
    paid, free = User(identity), User(identity, plan="FREE")
    nobody = User(None)
    callers: list[list[Header]] = [
        [], [paid.bearer()], [free.bearer()], [nobody.bearer()], [(b"authorization", b"Bearer x")],
        [(b"cookie", b"a=b; coffee_session=" + paid.token().encode())], [paid.bearer(), free.bearer()],
    ]  # fmt: skip
    extras: list[list[Header]] = [
        [(b"x-forwarded-for", b"198.51.100.7"), (b"x-forwarded-proto", b"https"), (b"cookie", b"c=d")],
        [(b"origin", ORIGIN), (b"access-control-request-method", b"PUT")],
        [(b"origin", b"https://elsewhere.example"), (b"sec-fetch-site", b"cross-site"), (b"content-length", b"3")],
        [(b"x-bb-requestid", b"01900000-0000-7000-8000-00000000abcd"), (b"traceparent", b"00-" + b"1" * 32)],
        [(b"connection", b"upgrade"), (b"upgrade", b"websocket")],
    ]
    everything = [
        (method, target, caller + extra, peer, scheme)
        for method, target in itertools.product(METHODS, TARGETS)
        for caller, extra in itertools.product(callers, extras)
        for peer, scheme in ((PEER, HTTP), (PEER, HTTPS), (b"10.0.0.1", HTTPS), (b"2001:db8::7", HTTP))
    ]
    chance = random.Random(7)
    chance.shuffle(everything)
    for caller in callers:  # what has to be looked up is: then nothing depends on who asked first
        await rig.decide(built, rig.request(TARGET, *caller))
    statuses = set()
    for at in range(0, len(everything), 100):
        asked, wanted = [], []
        for method, target, more, peer, scheme in everything[at : at + 100]:
            headers = [(b"host", b"api.example.com"), *more]
            asked.append((head_of(method, target, headers, mixed=chance.random() < 0.1), scheme, peer))
            decision = await rig.decide(built, RequestHead(method, target, headers, peer.decode(), SCHEMES[scheme]))
            upgrade = b"connection: upgrade\r\nupgrade: websocket\r\n" if (b"upgrade", b"websocket") in more else b""
            wanted.append(expected(decision, target, upgrade))
        for question, told, want in zip(asked, await proxy.ask_all(asked), wanted, strict=True):
            assert without_ids((told.status, *told[3:])) == without_ids(want), question
            statuses.add(told.status)
    assert {0, 204, 400, 401, 403, 404, 405} <= statuses


# how one is opened


@pytest.mark.parametrize(
    "opening",
    [
        OPENING.replace(b"coffee-verdicts", b"websocket"),
        OPENING.replace(b"coffee-verdicts", b"coffee-verdicts, websocket"),
        OPENING.replace(b"connection: upgrade\r\n", b""),
        OPENING.replace(b"HTTP/1.1", b"HTTP/1.0"),
        *[
            OPENING.replace(b"/_gateway/verdict", target)
            for target in (
                b"/_gateway/verdict/", b"/_gateway/verdict/a", b"/_gateway/verdict?bare", b"/_gateway/verdict?",
                b"/_gateway/verdicts", b"/_gateway/%76erdict", b"//_gateway/verdict", b"/_gateway/x/../verdict",
            )
        ],
        *[OPENING.replace(b"GET", method) for method in (b"HEAD", b"POST", b"PUT", b"OPTIONS", b"QUERY")],
        OPENING[:-2] + b"content-length: 2\r\n\r\nhi",
        OPENING[:-2] + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=lambda opening: opening.partition(b"\r\n")[0].decode(),
)  # fmt: skip
async def test_nothing_else_opens_one(start: Start, world: tuple[Identity, BuiltVerdict], opening: bytes) -> None:
    plane = await start(asked_from="127.0.0.0/8", verdict=world[1].core)
    async with await plane.client() as client:
        client.send(opening)
        status, _ = await client.head()
        assert status >= 200


async def test_it_is_opened_whatever_the_case_of_its_name(start: Start, world: tuple[Identity, BuiltVerdict]) -> None:
    plane = await start(asked_from="127.0.0.0/8", verdict=world[1].core)
    async with await plane.client() as client:
        client.send(OPENING.replace(b"coffee-verdicts", b"Coffee-Verdicts").replace(b"upgrade:", b"UPGRADE:"))
        assert (await client.head())[0] == 101


# what is no head


POST = b"POST %b HTTP/1.1\r\nhost: a\r\n" % SHARED


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"", 400, id="nothing"),
        pytest.param(b"\r\n\r\n", 400, id="an end and no more"),
        pytest.param(get(SHARED)[:-2], 400, id="no empty line"),
        pytest.param(get(SHARED, b"x: " + b"y" * 9)[:-2], 400, id="no empty line behind a line that may lose its end"),
        pytest.param(get(SHARED, b"x: " + b"y" * 9)[:-1], 400, id="half an empty line"),
        pytest.param(get(SHARED) + get(TARGET), 400, id="two heads"),
        pytest.param(get(SHARED) + b"\r\n", 400, id="an empty line too many"),
        pytest.param(b"\r\n" + get(SHARED), 400, id="an empty line before it"),
        pytest.param(get(SHARED) + b"x: y\r\n\r\n", 400, id="an empty line inside"),
        pytest.param(get(SHARED).replace(b"\r\n", b"\n"), 400, id="line feeds"),
        pytest.param(get(SHARED, b"x: y\nz: a"), 400, id="a line feed"),
        pytest.param(get(SHARED, b"x: y\rz: a"), 400, id="a carriage return"),
        pytest.param(get(SHARED, b"x: y\0"), 400, id="a zero"),
        pytest.param(get(SHARED + b"\0"), 400, id="a zero in the target"),
        pytest.param(get(SHARED, b" x: y"), 400, id="a continued line"),
        pytest.param(get(SHARED, b"x : y"), 400, id="a space before a colon"),
        pytest.param(get(SHARED, b"host: b"), 400, id="two hosts"),
        pytest.param(b"GET %b HTTP/1.1\r\n\r\n" % SHARED, 400, id="no host"),
        pytest.param(get(b"http://b" + SHARED), 400, id="another host in the target"),
        pytest.param(get(b"*"), 400, id="a target that is no path"),
        pytest.param(get(b"/" + b"a" * 8192), 414, id="a long line"),
        pytest.param(get(SHARED, b"x: " + b"y" * 32768), 431, id="a long head"),
        pytest.param(get(SHARED, *[b"x: y"] * 100), 431, id="many lines"),
        pytest.param(get(SHARED).replace(b"GET", b"BREW"), 501, id="an unknown method"),
        pytest.param(get(SHARED).replace(b"GET", b"G(T"), 400, id="a method that is none"),
        pytest.param(get(SHARED).replace(b"GET", b"CONNECT"), 501, id="a tunnel"),
        pytest.param(get(SHARED).replace(b"HTTP/1.1", b"HTTP/2.0"), 505, id="another version"),
        pytest.param(POST + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n", 400, id="CL.TE"),
        pytest.param(POST + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n", 400, id="TE.CL"),
        pytest.param(POST + b"transfer-encoding: xchunked\r\n\r\n", 501, id="TE.TE"),
        pytest.param(POST + b"transfer_encoding: chunked\r\n\r\n", 400, id="TE.TE, an underscore"),
        pytest.param(POST + b"content-length: 0\r\ncontent-length: 44\r\n\r\n", 400, id="CL.CL"),
        pytest.param(POST + b"content-length: +4\r\n\r\n", 400, id="a signed length"),
        pytest.param(POST + b"expect: 200-ok\r\n\r\n", 417, id="another expectation"),
    ],
)
async def test_what_is_no_head_is_refused_and_the_next_question_is_heard(
    proxy: VerdictProxy, sent: bytes, status: int
) -> None:
    fine = (get(SHARED), HTTP, PEER)
    for _ in range(3):  # by now the headers of the fine one are known, and those of this one are still none
        before, told, after = await proxy.ask_all([fine, (sent, HTTP, PEER), fine])
        assert (before.status, told.status, after.status) == (0, status, 0)
        problem = json.loads(told.rest)
        assert (problem["status"], problem["title"]) == (status, status_line(status)[13:-2].decode())
        assert problem["requestId"].encode() == told.request_id != b""
        assert told.header(b"content-type") == b"application/problem+json"


PIECES = st.sampled_from(
    [get(SHARED), get(TARGET, b"x: y"), POST, b"\r\n\r\n", b"content-length: 3\r\n", b"authorization: Bearer "]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.one_of(PIECES, st.binary(max_size=8)), max_size=6).map(b"".join), min_size=1, max_size=5))
async def test_no_head_ends_the_stream(proxy: VerdictProxy, heads: list[bytes]) -> None:
    told = await proxy.ask_all([(head, HTTP, PEER) for head in [*heads, get(SHARED)]])
    assert told[-1].status == 0
    assert all(b"\r\n\r\n" in head for head, each in zip(heads, told, strict=False) if each.status == 0)


async def test_a_head_may_not_be_too_long_because_its_headers_are_known(proxy: VerdictProxy) -> None:
    """Nor may its first line."""
    headers = [b"x%d: %b" % (number, b"y" * 500) for number in range(3)]
    for _ in range(3):
        assert (await proxy.ask(get(SHARED, *headers))).status == 0
    assert (await proxy.ask(get(SHARED + b"?" + b"a" * 8192, *headers))).status == 414


async def test_a_head_has_one_bound_whether_its_headers_are_known_or_not(
    start: Start, world: tuple[Identity, BuiltVerdict]
) -> None:
    plane = await start(asked_from="127.0.0.0/8", verdict=world[1].core, wire={"max_head": 1000})
    long, headers = SHARED + b"?" + b"a" * 300, [b"x: " + b"y" * 700]
    async with await VerdictProxy.open(await plane.client()) as proxy:
        assert (await proxy.ask(get(long, *headers))).status == 431
        for _ in range(3):
            assert (await proxy.ask(get(SHARED, *headers))).status == 0
        assert (await proxy.ask(get(long, *headers))).status == 431


# who it was


async def test_known_headers_say_nothing_of_scheme_or_peer(proxy: VerdictProxy) -> None:
    peers = (PEER, b"203.0.113.10", b"2001:DB8::1", b"unix:", b"fe80::1%eth0")
    spelled = {b"2001:DB8::1": b"2001:db8::1", b"unix:": b"127.0.0.1", b"fe80::1%eth0": b"fe80::1"}
    ways = list(itertools.product(peers, (HTTP, HTTP, HTTP, HTTPS, HTTPS, HTTPS, HTTP, HTTPS)))
    for peer, scheme in ways + sorted(ways, key=lambda way: way[1]) + ways[::-1]:
        told = await proxy.ask(get(SHARED), scheme=scheme, peer=peer)
        assert told.sent(b"x-forwarded-proto") == SCHEMES[scheme]
        assert told.sent(b"x-forwarded-for") == spelled.get(peer, peer)


async def test_the_zone_of_an_address_is_no_line_of_a_head(proxy: VerdictProxy) -> None:
    """Python takes any bytes for a zone."""
    told = await proxy.ask(get(SHARED), peer=b"fe80::1%a\r\nx-bb-uid: 7")
    assert told.sent(b"x-forwarded-for") == b"fe80::1"
    assert b"x-bb-uid" not in told.rest


async def test_what_a_caller_says_about_himself_is_not_sent_on(
    proxy: VerdictProxy, world: tuple[Identity, BuiltVerdict]
) -> None:
    user = User(world[0])
    lies = [b"x-bb-uid: 1", b"X-BB-Partner-Id: 1", b"x_bb_uid: 1", b"x-bb_plan-type: PAID", b"x-bb-identity: x.y.z"]
    lies += [b"x-forwarded-for: 10.9.9.9", b"x-original-uri: /nothing", b"x_forwarded_for: 10.9.9.9"]
    token = b"%b: %b" % user.bearer()
    for _ in range(4):
        (nobody, him), names = (
            await proxy.ask_all([(get(SHARED, *lies), HTTP, PEER), (get(TARGET, *lies, token), HTTP, PEER)]),
            set(),
        )
        for told in (nobody, him):
            assert (told.status, told.sent(b"x-forwarded-for")) == (0, PEER)
            names |= {line.split(b":")[0] for line in told.rest.split(b"\r\n")}
        assert not [name for name in names if b"_" in name or name.lower() != name or name == b"x-original-uri"]
        assert b"x-bb-uid" not in nobody.rest
        assert him.sent(b"x-bb-partner-id").decode() == user.partner
        assert him.sent(b"x-bb-uid").decode() == str(user.session["uid"])
        assert him.caller.split(b"\t") == [user.partner.encode(), him.sent(b"x-bb-uid"), b"PAID"]


async def test_who_has_to_be_looked_up_holds_up_nobody(
    proxy: VerdictProxy, world: tuple[Identity, BuiltVerdict]
) -> None:
    identity, user = world[0], User(world[0])
    identity.open.clear()
    waiting = proxy.put(get(TARGET, b"%b: %b" % user.bearer()))
    told = await proxy.ask_all([(get(SHARED), HTTP, PEER), (get(TARGET), HTTP, PEER)])
    assert [each.status for each in told] == [0, 401]
    identity.open.set()
    late = await proxy.told()
    assert (late.number, late.status) == (waiting, 0)
    assert late.sent(b"x-bb-partner-id").decode() == user.partner


async def test_heads_are_forgotten_as_those_of_other_clients_are(
    start: Start, world: tuple[Identity, BuiltVerdict]
) -> None:
    """Tokens are in them."""
    plane = await start(asked_from="127.0.0.0/8", verdict=world[1].core)
    async with await VerdictProxy.open(await plane.client()) as proxy:
        for scheme in (HTTP, HTTPS) * 3:
            await proxy.ask(get(TARGET, b"%b: %b" % User(None).bearer()), scheme=scheme)
            await proxy.ask(get(SHARED), scheme=scheme)
        assert plane.front.questions is not None
        memories = [each for each in plane.front.questions.heads if each is not None]
        assert [len(each.known) > 0 for each in memories] == [True, True]
        plane.front.swept(plane.front.now + REMEMBERS + 1)
        assert [each.known for each in memories] == [{}, {}]


# upgrades


UPGRADED = b"connection: upgrade\r\nupgrade: websocket\r\n"


@pytest.mark.parametrize(
    ("lines", "upgraded"),
    [
        ([b"connection: Upgrade", b"upgrade: WebSocket"], True),
        ([b"connection: keep-alive, Upgrade", b"upgrade: websocket", b"sec-websocket-key: a"], True),
        ([b"upgrade: websocket"], False),
        ([b"connection: upgrade"], False),
        ([b"connection: upgrade, http2-settings", b"upgrade: h2c", b"http2-settings: A"], False),
        ([b"connection: upgrade", b"upgrade: websocket, h2c"], False),
        ([b"connection: upgrade", b"upgrade: websocket", b"content-length: 2"], False),
        ([b"connection: upgrade", b"upgrade: websocket", b"transfer-encoding: chunked"], False),
        ([b"connection: keep-alive"], False),
        ([], False),
    ],
)
@pytest.mark.parametrize("looked_up", [False, True])
async def test_only_a_websocket_is_told_of_the_hop(
    proxy: VerdictProxy, world: tuple[Identity, BuiltVerdict], lines: list[bytes], upgraded: bool, looked_up: bool
) -> None:
    more = [b"%b: %b" % User(world[0]).bearer()] if looked_up else []
    for _ in range(3):
        told = await proxy.ask(get(TARGET if looked_up else SHARED, *lines, *more))
        assert told.status == int(not upgraded and any(line.startswith(b"upgrade:") for line in lines))
        assert told.rest.startswith(UPGRADED) == upgraded
        assert (told.sent(b"upgrade"), told.sent(b"connection")) == (
            (b"websocket", b"upgrade") if upgraded else (b"", b"")
        )
