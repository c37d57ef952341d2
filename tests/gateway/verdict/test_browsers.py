"""CORS is the gateway's alone; a cookie alone does not prove that our page made the request."""

from __future__ import annotations

import pytest

from gateway.build import BuiltVerdict
from gateway.verdict.cookies import SessionCookie
from gateway.verdict.cors import Cors
from gateway.verdict.decision import Answered
from tests.gateway.verdict.rig import TARGET, Identity, User, decide, forwarded, refused, request

OURS = (b"origin", b"https://app.example.com")
FOREIGN = (b"origin", b"https://evil.example")


def cookie(user: User) -> tuple[bytes, bytes]:
    return (b"cookie", b"coffee_session=" + user.token().encode())


@pytest.mark.parametrize("origin", [b"https://app.example.com", b"https://tea.pages.example"])
async def test_a_preflight_of_an_allowed_origin_is_answered_without_a_session(
    verdict: BuiltVerdict, origin: bytes
) -> None:
    asks = (b"access-control-request-method", b"PUT")
    decision = await decide(verdict, request(TARGET, (b"origin", origin), asks, method=b"OPTIONS"))
    assert isinstance(decision, Answered)
    headers = dict(decision.headers)
    assert decision.status == 204
    assert headers[b"access-control-allow-origin"] == origin
    assert headers[b"access-control-allow-credentials"] == b"true"
    assert b"*" not in b"".join(headers.values())
    assert headers[b"vary"] == b"Origin"


@pytest.mark.parametrize(
    "origin",
    [
        b"https://evil.example",
        b"http://app.example.com",
        b"https://app.example.com.evil.example",
        b"https://app.example.com:444",
        b"https://appxexample.com",
        b"https://a.b.pages.example",
        b"https://pages.example",
        b"https://evil.example/.pages.example",
        b"null",
        b"*",
        b"",
    ],
)
async def test_another_origin_gets_nothing(verdict: BuiltVerdict, identity: Identity, origin: bytes) -> None:
    asks = (b"access-control-request-method", b"PUT")
    refusal = await refused(verdict, request(TARGET, (b"origin", origin), asks, method=b"OPTIONS"), 403)
    assert not [name for name, _ in refusal.headers if name.startswith(b"access-control")]
    forward = await forwarded(verdict, request(TARGET, (b"origin", origin), User(identity).bearer()))
    assert b"access-control" not in forward.answer_head


async def test_answers_and_refusals_can_be_read_by_our_page(verdict: BuiltVerdict, identity: Identity) -> None:
    forward = await forwarded(verdict, request(TARGET, OURS, User(identity).bearer()))
    assert b"access-control-allow-origin: https://app.example.com\r\n" in forward.answer_head
    refusal = await refused(verdict, request(TARGET, OURS), 401)
    assert (b"access-control-allow-origin", b"https://app.example.com") in refusal.headers


@pytest.mark.parametrize(
    ("headers", "method", "allowed"),
    [
        pytest.param([], b"GET", True, id="reading needs nothing"),
        pytest.param([FOREIGN], b"GET", True, id="reading from anywhere: CORS keeps the answer from the page"),
        pytest.param([], b"POST", False, id="nothing said"),
        pytest.param([OURS], b"POST", True, id="an allowed origin"),
        pytest.param([(b"origin", b"http://api.example.com")], b"DELETE", True, id="our own host"),
        pytest.param([FOREIGN], b"POST", False, id="a foreign origin"),
        pytest.param([(b"origin", b"null")], b"POST", False, id="a sandboxed page"),
        pytest.param([FOREIGN, (b"sec-fetch-site", b"same-origin")], b"POST", False, id="the origin counts first"),
        pytest.param([(b"sec-fetch-site", b"same-origin")], b"PUT", True, id="same origin, says the browser"),
        pytest.param([(b"sec-fetch-site", b"cross-site")], b"PUT", False, id="cross site, says the browser"),
        pytest.param([(b"sec-fetch-site", b"same-site")], b"PUT", False, id="a sister site that is not listed"),
        pytest.param([(b"x-csrf-token", b"1")], b"PATCH", True, id="a header that a form cannot send"),
        pytest.param([FOREIGN, (b"x-csrf-token", b"1")], b"PATCH", False, id="which does not outweigh the origin"),
        pytest.param([FOREIGN, (b"upgrade", b"websocket")], b"GET", False, id="a foreign page's WebSocket"),
        pytest.param([OURS, (b"upgrade", b"websocket")], b"GET", True, id="our page's WebSocket"),
    ],
)
async def test_a_cookie_needs_a_page_of_ours_to_change_anything(
    verdict: BuiltVerdict, identity: Identity, headers: list[tuple[bytes, bytes]], method: bytes, allowed: bool
) -> None:
    head = request(TARGET, cookie(User(identity)), *headers, method=method)
    if allowed:
        await forwarded(verdict, head)
    else:
        await refused(verdict, head, 403)


async def test_a_bearer_token_needs_no_such_proof(verdict: BuiltVerdict, identity: Identity) -> None:
    await forwarded(verdict, request(TARGET, FOREIGN, User(identity).bearer(), method=b"POST"))


async def test_a_foreign_page_neither_logs_in_nor_out(verdict: BuiltVerdict, identity: Identity) -> None:
    for target in (b"/auth/login", b"/auth/logout"):
        await refused(verdict, request(target, FOREIGN, method=b"POST"), 403)
        await refused(verdict, request(target, cookie(User(identity)), FOREIGN, method=b"POST"), 403)
    await forwarded(verdict, request(b"/auth/login", OURS, method=b"POST"))
    await forwarded(verdict, request(b"/auth/login", method=b"POST"))


async def test_a_sign_in_provider_says_who_has_logged_out_and_no_page_does(verdict: BuiltVerdict) -> None:
    """Back-channel logout: a server's POST, without cookie and Origin; a page's would bear an Origin."""
    target, form = b"/auth/backchannel-logout", (b"content-type", b"application/x-www-form-urlencoded")
    passed = await forwarded(verdict, request(target, form, method=b"POST"))
    assert passed.passage.upstream == "identity"
    await refused(verdict, request(target, form, FOREIGN, method=b"POST"), 403)


@pytest.mark.parametrize(
    "cookies",
    [
        [b"coffee_session=; coffee_session=T"],
        [b"coffee_session=T; coffee_session="],
        [b"coffee_session=T", b"coffee_session=other"],
    ],
)
def test_two_session_cookies_are_none(cookies: list[bytes]) -> None:
    """A page of a sister domain may set one: identity would not know whose session it is to end."""
    assert SessionCookie("coffee_session").token(cookies) == b""
    assert SessionCookie("coffee_session").token([b"coffee_session=T; a=b", b'coffee_session="T"']) == b"T"


def test_a_page_without_tls_is_not_ours_where_we_have_it() -> None:
    cors = Cors((), 60)
    for origin, secure, forged in (
        (b"https://api.example.com", True, False),
        (b"http://api.example.com", True, True),
        (b"http://api.example.com", False, False),
        (b"https://api.example.com", False, False),  # TLS ends before us
    ):
        assert cors.forgery(b"POST", {b"origin": origin}, b"api.example.com", secure=secure) is forged
