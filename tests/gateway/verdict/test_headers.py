"""What a caller says about himself never reaches an upstream, however he spells it."""

from __future__ import annotations

import re
from collections.abc import Awaitable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.build import BuiltVerdict
from gateway.verdict.decision import Forward
from tests.gateway.verdict import rig
from tests.gateway.verdict.rig import TARGET, Identity, User, forwarded, header, lines, request

IDENTITY = ["x-bb-partner-id", "x-bb-account-id", "x-bb-uid", "x-bb-plan-type", "x-bb-identity"]
UUID7 = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
SHARED = b"/profile-collection-service/api/collection/byshareid/abc"


@st.composite
def spellings(draw: st.DrawFn) -> bytes:
    """An identity header's name with other separators, other cases, or a few more separators."""
    name = draw(st.sampled_from(IDENTITY))
    separators = st.sampled_from(["-", "_", ".", "--", "-_", "~", "!", "'"])
    text = "".join(draw(separators) if letter == "-" else letter for letter in name)
    text = "".join(letter.upper() if draw(st.booleans()) else letter for letter in text)
    return (draw(st.sampled_from(["", "", "-", "_"])) + text + draw(st.sampled_from(["", "", "-", "_"]))).encode()


async def test_forged_identity_headers_are_gone_in_every_spelling(verdict: BuiltVerdict, identity: Identity) -> None:
    bearer = User(identity).bearer()
    await forwarded(verdict, request(TARGET, bearer))

    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(forged=st.lists(st.tuples(spellings(), st.just(b"said-by-caller")), min_size=1, max_size=6))
    def rule(forged: list[tuple[bytes, bytes]]) -> None:
        for head in (request(TARGET, *forged, bearer, *forged), request(SHARED, *forged)):
            decision = verdict.core.decide(head)
            assert isinstance(decision, Forward)
            assert b"said-by-caller" not in decision.head
            own = {b"x-bb-requestid", *map(str.encode, IDENTITY)} if head.target == TARGET else {b"x-bb-requestid"}
            squeezed = [re.sub(rb"[^a-z0-9]", b"", name.lower()) for name, _ in lines(decision)]
            assert sorted(name for name in squeezed if name.startswith(b"xbb")) == sorted(
                name.replace(b"-", b"") for name in own
            )

    rule()


@pytest.mark.parametrize(
    "name",
    [
        b"x-forwarded-for",
        b"x_forwarded_for",
        b"forwarded",
        b"x-real-ip",
        b"true-client-ip",
        b"x-forwarded-user",
        b"x-original-url",
        b"x-rewrite-url",
        b"x-http-method-override",
        b"x-bb-anything",
        b"x-bb-operator",
        b"traceparent",
        b"baggage",
        b"te",
        b"proxy-authorization",
        b"transfer-encoding",
        b"content-length",
        b"content_length",
        b"expect",
        b"keep-alive",
        b"proxy-connection",
        b"http2-settings",
        b"upgrade",
    ],
)
async def test_what_could_mislead_an_upstream_does_not_pass(
    verdict: BuiltVerdict, identity: Identity, name: bytes
) -> None:
    forward = await forwarded(verdict, request(TARGET, (name, b"forged-value"), User(identity).bearer()))
    assert b"forged-value" not in forward.head


async def test_what_a_connection_header_names_is_dropped_with_it(verdict: BuiltVerdict, identity: Identity) -> None:
    forward = await forwarded(
        verdict,
        request(
            TARGET,
            (b"x-keep", b"1"),
            (b"x-hop", b"2"),
            (b"connection", b"close, X-Hop"),
            (b"connection", b"x-bb-partner-id, authorization"),
            User(identity).bearer(),
        ),
    )
    names = dict(lines(forward))
    assert b"x-hop" not in names
    assert b"connection" not in names
    assert names[b"x-keep"] == b"1"
    assert names[b"x-bb-partner-id"]


async def test_well_formed_headers_about_the_device_pass_once_and_others_do_not(
    verdict: BuiltVerdict, identity: Identity
) -> None:
    forward = await forwarded(
        verdict,
        request(
            TARGET,
            User(identity).bearer(),
            (b"x-bb-deviceid", b"abc-123"),
            (b"x-bb-deviceid", b"second"),
            (b"x-bb-version", b'1" onload="'),
            (b"x-bb-clienttype", b"web"),
            (b"accept-language", b"de-CH, de;q=0.9, *;q=0.1"),
        ),
    )
    assert header(forward, b"x-bb-deviceid") == b"abc-123"
    assert header(forward, b"x-bb-clienttype") == b"web"
    assert header(forward, b"accept-language") == b"de-CH, de;q=0.9, *;q=0.1"
    assert b"x-bb-version" not in dict(lines(forward))


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param(b"0197fd6c-1111-7abc-8def-0123456789ab", True, id="a UUIDv7 is kept"),
        pytest.param(b"550e8400-e29b-41d4-a716-446655440000", False, id="a UUIDv4 is not"),
        pytest.param(b"0197fd6c-1111-7abc-cdef-0123456789ab", False, id="another variant is not"),
        pytest.param(b"x" * 200, False, id="a long text is not"),
        pytest.param(b"", False, id="nothing is not"),
    ],
)
async def test_a_request_id_is_kept_if_it_is_well_formed(
    verdict: BuiltVerdict, identity: Identity, sent: bytes, kept: bool
) -> None:
    forward = await forwarded(verdict, request(TARGET, User(identity).bearer(), (b"x-bb-requestid", sent)))
    assert (forward.request_id == sent) is kept
    assert UUID7.fullmatch(forward.request_id)
    assert header(forward, b"x-bb-requestid") == forward.request_id
    assert b"x-bb-requestid: " + forward.request_id + b"\r\n" in forward.answer_head


async def test_without_trusted_proxies_only_the_connection_is_believed(
    verdict: BuiltVerdict, identity: Identity
) -> None:
    forward = await forwarded(
        verdict,
        request(
            TARGET,
            User(identity).bearer(),
            (b"x-forwarded-for", b"1.2.3.4"),
            (b"x-forwarded-proto", b"https"),
            (b"x-forwarded-host", b"evil.example"),
            (b"forwarded", b"for=1.2.3.4"),
        ),
    )
    assert header(forward, b"x-forwarded-for") == b"203.0.113.9"
    assert header(forward, b"x-forwarded-proto") == b"http"
    assert header(forward, b"x-forwarded-host") == b"api.example.com"
    assert header(forward, b"traceparent").startswith(b"00-" + forward.request_id.replace(b"-", b""))


async def test_a_trusted_proxy_is_believed_up_to_the_first_stranger(identity: Identity) -> None:
    config = rig.settings(identity, None, trusted_proxies="10.0.0.0/8,fd00::/8")
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with rig.running(config) as built:
        head = request(
            TARGET,
            User(identity).bearer(),
            (b"x-forwarded-for", b"6.6.6.6, 1.2.3.4"),
            (b"x-forwarded-for", b"10.0.0.7"),
            (b"x-forwarded-proto", b"https"),
            (b"x-forwarded-host", b"shop.example:8443"),
            (b"traceparent", trace),
            peer="10.0.0.9",
        )
        forward = await forwarded(built, head)
        assert header(forward, b"x-forwarded-for") == b"1.2.3.4, 10.0.0.7, 10.0.0.9"
        assert header(forward, b"x-forwarded-proto") == b"https"
        assert header(forward, b"x-forwarded-host") == b"shop.example:8443"
        assert header(forward, b"traceparent") == trace
        rubbish = request(
            TARGET,
            User(identity).bearer(),
            (b"x-forwarded-for", b"not an address"),
            (b"x-forwarded-proto", b"gopher"),
            (b"x-forwarded-host", b"a b"),
            (b"traceparent", b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01"),
            peer="10.0.0.9",
        )
        forward = await forwarded(built, rubbish)
        assert header(forward, b"x-forwarded-for") == b"10.0.0.9"
        assert header(forward, b"x-forwarded-proto") == b"http"
        assert header(forward, b"x-forwarded-host") == b"api.example.com"
        assert b"00-" + b"0" * 32 not in forward.head


async def test_nothing_that_a_caller_sends_makes_the_verdict_raise(verdict: BuiltVerdict) -> None:
    token = st.binary(max_size=60).map(lambda value: bytes(byte for byte in value if 32 <= byte < 127))
    names = st.one_of(
        st.sampled_from([b"authorization", b"cookie", b"origin", b"connection", b"x-forwarded-for", b"x-bb-requestid"]),
        st.from_regex(rb"[!#$%&'*+.^_`|~a-z0-9-]{1,20}", fullmatch=True),
    )
    headers = st.lists(st.tuples(names, token), max_size=8)
    targets = st.one_of(st.binary(max_size=60), st.from_regex(rb"/[a-z-]{1,12}-service/[!-~]{0,30}", fullmatch=True))
    methods = st.sampled_from([b"GET", b"POST", b"OPTIONS", b"BREW", b""])

    @settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(target=targets, sent=headers, method=methods)
    def rule(target: bytes, sent: list[tuple[bytes, bytes]], method: bytes) -> None:
        decision = verdict.core.decide(request(target, *sent, method=method))
        if isinstance(decision, Awaitable):
            decision.close()  # type: ignore[attr-defined]  # a coroutine
        elif isinstance(decision, Forward):
            assert b"\r\n\r\n" not in decision.head
            assert decision.head.count(b"\r\n") == len(decision.head.split(b"\r\n")) - 1

    rule()
