"""Who is calling, what they paid for, where to."""

from __future__ import annotations

import time
from collections.abc import Awaitable

import jwt
import pytest

from gateway.build import BuiltVerdict
from gateway.verdict.decision import Forward, Local
from tests.gateway.verdict.rig import KEY, TARGET, Identity, User, decide, forwarded, header, lines, refused, request


async def test_a_caller_with_a_session_is_forwarded_with_his_identity(
    verdict: BuiltVerdict, identity: Identity
) -> None:
    user = User(identity, "SAAS")
    forward = await forwarded(verdict, request(TARGET + b"?a=1", user.bearer()))
    assert (forward.passage.upstream, forward.target) == ("saas", TARGET + b"?a=1")
    assert header(forward, b"x-bb-partner-id").decode() == user.partner
    assert header(forward, b"x-bb-account-id").decode() == str(user.session["accountId"])
    assert header(forward, b"x-bb-uid").decode() == str(user.session["uid"])
    assert header(forward, b"x-bb-plan-type") == b"SAAS"
    assert (forward.passage.partner.decode(), forward.passage.plan) == (user.partner, b"SAAS")
    statement = jwt.decode(header(forward, b"x-bb-identity"), KEY, algorithms=["HS256"], audience="saas")
    assert statement["partnerId"] == user.partner
    assert statement["planType"] == "SAAS"
    assert 0 < statement["exp"] - time.time() <= 60


async def test_once_the_caches_know_the_decision_is_synchronous(verdict: BuiltVerdict, identity: Identity) -> None:
    user = User(identity)
    head = request(TARGET, user.bearer())
    first = verdict.core.decide(head)
    assert isinstance(first, Awaitable)
    assert isinstance(await first, Forward)
    assert isinstance(verdict.core.decide(head), Forward)


@pytest.mark.parametrize(
    ("target", "upstream", "path"),
    [
        pytest.param(b"/discovery-service/api/x", "saas", b"/discovery-service/api/x", id="a service is a module"),
        pytest.param(b"/made-up-service/api/x", "saas", b"/made-up-service/api/x", id="modules name themselves"),
        pytest.param(
            b"/social-profile-service/api/instagram/1",
            "saas-data",
            b"/social-profile-service/api/instagram/1",
            id="raw profile rows come from the data process",
        ),
        pytest.param(
            b"/auth/logout?everywhere=true",
            "identity",
            b"/identity-service/api/auth/logout?everywhere=true",
            id="auth is identity's",
        ),
        pytest.param(b"/%64iscovery-service/api/x", "saas", b"/discovery-service/api/x", id="one spelling of a path"),
    ],
)
async def test_a_request_goes_where_its_path_says(
    verdict: BuiltVerdict, identity: Identity, target: bytes, upstream: str, path: bytes
) -> None:
    forward = await forwarded(verdict, request(target, User(identity).bearer()))
    assert (forward.passage.upstream, forward.target) == (upstream, path)


@pytest.mark.parametrize(
    "target",
    [b"/", b"/nothing", b"/discovery", b"/-service/x", b"/DISCOVERY-service/x", b"/a_b-service/x", b"/auth-/x"],
)
async def test_what_is_not_listed_does_not_exist(verdict: BuiltVerdict, identity: Identity, target: bytes) -> None:
    await refused(verdict, request(target, User(identity).bearer()), 404)


@pytest.mark.parametrize(
    "target",
    [
        b"/identity-service/api/auth/verify?sid=x",
        b"/identity-service/api/auth/verify/",
        b"/auth/verify?sid=x",
        b"/auth/%76erify?sid=x",
        b"/identity-service/api/partners/1/plan",
    ],
)
async def test_what_the_gateway_asks_identity_nobody_else_can_ask(
    verdict: BuiltVerdict, identity: Identity, target: bytes
) -> None:
    await refused(verdict, request(target, User(identity, operator=True).bearer()), 404)


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(b"/profile-collection-service/api/collection/byshareid/abc", id="a shared collection"),
        pytest.param(b"/auth/login", id="login"),
        pytest.param(b"/identity-service/api/auth/refresh", id="refresh"),
    ],
)
async def test_public_routes_need_no_session_and_say_so(verdict: BuiltVerdict, target: bytes) -> None:
    forward = await forwarded(verdict, request(target, method=b"GET"))
    assert not [name for name, _ in lines(forward) if name.startswith(b"x-bb-") and name != b"x-bb-requestid"]
    assert (forward.passage.partner, forward.passage.plan, forward.passage.uid) == (b"", b"FREE", b"")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        (b"POST", b"/profile-collection-service/api/collection/byshareid/abc"),
        (b"POST", b"/profile-collection-service/api/collection/byshareid/abc/item"),
        (b"GET", b"/profile-collection-service/api/collection/byshareid/abc/item/1"),
        (b"GET", b"/profile-collection-service/api/collection/byshareid/abc/link"),
        (b"GET", b"/profile-collection-service/api/collection/byshareid"),
        (b"GET", b"/profile-collection-service/api/collection/byshareidabc"),
        (b"GET", b"/profile-collection-service/api/collection/1"),
        (b"GET", b"/profile-collection-service/api/Collection/byshareid/abc"),
        (b"GET", b"/discovery-service/byshareid/abc"),
        (b"POST", b"/identity-service/api/users"),
        (b"POST", b"/identity-service/api/authx/login"),
    ],
)
async def test_what_only_resembles_a_public_route_needs_a_session(
    verdict: BuiltVerdict, method: bytes, target: bytes
) -> None:
    refusal = await refused(verdict, request(target, method=method), 401)
    assert (b"www-authenticate", b'Bearer realm="coffee"') in refusal.headers


@pytest.mark.parametrize(
    "target",
    [
        b"/profile-collection-service/api/collection/byshareid/../1",
        b"/profile-collection-service/api/collection/byshareid/%2e%2e/1",
        b"/profile-collection-service/api/collection/byshareid/..;/1",
        b"/profile-collection-service/api/collection/byshareid/%2e%2e%2f1",
        b"/profile-collection-service/api/collection/byshareid/..%5c1",
        b"/profile-collection-service//api/collection/byshareid/1",
        b"//evil.example/discovery-service/",
        b"/auth/login/../../discovery-service/api",
        b"/discovery-service/\x00",
        b"/discovery-service/%00",
        b"/discovery-service/a\\b",
        b"http://evil.example/discovery-service/x",
        b"*",
        b"",
    ],
)
async def test_a_path_with_two_meanings_is_refused(verdict: BuiltVerdict, identity: Identity, target: bytes) -> None:
    await refused(verdict, request(target, User(identity).bearer()), 400)


async def test_the_gateways_own_routes_are_local_and_know_their_methods(
    verdict: BuiltVerdict, identity: Identity
) -> None:
    for target, name in (
        (b"/health/live", "health"),
        (b"/heartbeat/", "heartbeat"),
        (b"/metrics", "metrics"),
        (b"/docs", "docs"),
    ):
        decision = await decide(verdict, request(target))
        assert isinstance(decision, Local)
        assert decision.route == name
    refusal = await refused(verdict, request(b"/heartbeat/", method=b"DELETE"), 405)
    assert (b"allow", b"GET, HEAD, PUT") in refusal.headers


async def test_only_operators_take_a_gateway_out_of_rotation(verdict: BuiltVerdict, identity: Identity) -> None:
    put = b"/heartbeat/?beat=false"
    await refused(verdict, request(put, method=b"PUT"), 401)
    await refused(verdict, request(put, User(identity).bearer(), method=b"PUT"), 403)
    decision = await decide(verdict, request(put, User(identity, operator=True).bearer(), method=b"PUT"))
    assert isinstance(decision, Local)


async def test_a_token_must_agree_with_its_session(verdict: BuiltVerdict, identity: Identity) -> None:
    """Whoever can sign tokens for one partner must not reach another by naming him."""
    user, other = User(identity), User(identity)
    await refused(verdict, request(TARGET, user.bearer(partnerId=other.partner)), 401)
    await refused(verdict, request(TARGET, user.bearer(uid="1")), 401)
    await refused(verdict, request(TARGET, user.bearer(userAccountId="1")), 401)
    await forwarded(verdict, request(TARGET, user.bearer()))


async def test_a_session_that_is_unknown_or_over_is_refused(verdict: BuiltVerdict, identity: Identity) -> None:
    await refused(verdict, request(TARGET, User(None).bearer()), 401)
    await refused(verdict, request(TARGET, User(identity, exp=int(time.time()) - 1).bearer()), 401)


async def test_a_partner_without_a_contract_is_on_free(verdict: BuiltVerdict, identity: Identity) -> None:
    forward = await forwarded(verdict, request(TARGET, User(identity, plan=None).bearer()))
    assert forward.passage.plan == b"FREE"


async def test_two_credentials_are_none(verdict: BuiltVerdict, identity: Identity) -> None:
    user = User(identity)
    await refused(verdict, request(TARGET, user.bearer(), user.bearer()), 401)
    one, two = user.token().encode(), user.token(iat=1).encode()
    cookie = (b"cookie", b"coffee_session=" + one + b"; coffee_session=" + two)
    await refused(verdict, request(TARGET, cookie), 401)


async def test_the_upstream_sees_no_credentials_but_identity_does(verdict: BuiltVerdict, identity: Identity) -> None:
    user = User(identity)
    cookies = (b"cookie", b"a=1; coffee_session=" + user.token().encode() + b"; b=2")
    forward = await forwarded(verdict, request(TARGET, user.bearer(), cookies))
    assert header(forward, b"cookie") == b"a=1; b=2"
    assert b"authorization" not in dict(lines(forward))
    forward = await forwarded(verdict, request(b"/auth/logout", user.bearer(), cookies))
    assert header(forward, b"authorization").startswith(b"Bearer ")
    assert b"coffee_session=" in header(forward, b"cookie")


async def test_a_bad_token_does_not_keep_anyone_from_logging_in(verdict: BuiltVerdict, identity: Identity) -> None:
    forward = await forwarded(verdict, request(b"/auth/login", (b"authorization", b"Bearer x.y.z"), method=b"POST"))
    assert forward.passage.partner == b""
    user = User(identity)
    assert (
        await forwarded(verdict, request(b"/auth/logout", user.bearer(), method=b"POST"))
    ).passage.partner.decode() == user.partner
