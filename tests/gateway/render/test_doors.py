"""Whoever moves the bytes, one decision: the same rules hold behind nginx, Caddy, Envoy and Traefik."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
import pytest
import redis.asyncio

from coffee_core.cache.announce import invalidate
from coffee_core.wire.identity import verify
from tests.gateway.render.rig import APP, DOORS, NGINX, Door, a_door, ended, program, said
from tests.gateway.verdict.rig import KEY, User
from tests.support.raw_http import RawClient

PATH = "/discovery-service/api/profile/1"
SHARED = "/profile-collection-service/api/collection/byshareid/abc"
ID = "01900000-0000-7000-8000-00000000abcd"


@pytest.fixture(scope="module", params=DOORS)
async def door(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_url: str
) -> AsyncIterator[Door]:
    name: str = request.param
    program(name)
    async with a_door(name, tmp_path_factory.mktemp(name), redis_url) as running:
        yield running


def bearer(user: User, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {user.token()}", **more}


async def test_the_upstream_hears_who_calls_from_the_gateway_alone(door: Door) -> None:
    user = User(door.identity, "SAAS")
    lies = {
        "x-bb-partner-id": "1",
        "X-BB-UID": "1",
        "x_bb_uid": "1",
        "x-bb-plan-type": "PAID",
        "x-bb-identity": "x.y.z",
        "x-bb-account-id": "1",
        "x-bb-upstream": "identity",
        "x-original-uri": PATH,
        "x-original-method": "GET",
    }
    answer = await door.client.get(PATH + "?a=1", headers=bearer(user, **lies, **{"x-bb-deviceid": "phone-1"}))
    assert answer.status_code == 200, answer.text
    seen = said(answer)
    assert seen["x-bb-partner-id"] == user.partner
    assert (seen["x-bb-uid"], seen["x-bb-plan-type"]) == (str(user.session["uid"]), "SAAS")
    assert seen["x-bb-deviceid"] == "phone-1"
    caller, _ = verify(seen["x-bb-identity"], audience="saas", keys=[KEY.encode()])
    assert caller.partner == user.partner
    assert not {"x_bb_uid", "x-original-uri", "x-original-method", "authorization"} & {
        name for name, value in seen.items() if value
    }
    assert answer.json()["line"] == f"GET {PATH}?a=1 HTTP/1.1"


async def test_without_a_session_there_is_no_identity_whatever_the_caller_says(door: Door) -> None:
    answer = await door.client.get(SHARED, headers={"x-bb-partner-id": "1", "x-bb-identity": "x", "X-Bb-Uid": "1"})
    assert answer.status_code == 200, answer.text
    assert {name: value for name, value in said(answer).items() if name.startswith("x-bb-") and value}.keys() <= {
        "x-bb-requestid", "x-bb-upstream",
    }  # fmt: skip


async def test_the_caller_gets_what_the_upstream_said_and_no_secret_of_it(door: Door) -> None:
    answer = await door.client.get(PATH, headers=bearer(User(door.identity)))
    assert "x-bb-identity" not in answer.headers
    assert answer.headers.get("access-control-allow-origin") is None


async def test_a_request_id_is_kept_and_returned(door: Door) -> None:
    answer = await door.client.get(PATH, headers=bearer(User(door.identity), **{"x-bb-requestid": ID}))
    assert said(answer)["x-bb-requestid"] == ID
    if door.name != "traefik":  # it cannot copy a verdict's header to an answer; the modules say it themselves
        assert answer.headers["x-bb-requestid"] == ID


@pytest.mark.parametrize(
    ("path", "plan", "status", "says"),
    [
        pytest.param(PATH, None, 401, "session", id="no session"),
        pytest.param("/report-service/api/x", "SAAS", 402, "needs the plan PAID; yours is SAAS", id="the plan"),
        pytest.param("/admin-service/api/x", "PAID", 403, "operators", id="no operator"),
        pytest.param("/nothing", "PAID", 404, "nothing is here", id="no route"),
        pytest.param("/discovery-service/a%2Fb", "PAID", 400, "", id="a path with two meanings"),
    ],
)
async def test_a_refusal_reaches_the_caller_as_the_gateway_said_it(
    door: Door, path: str, plan: str | None, status: int, says: str
) -> None:
    headers = bearer(User(door.identity, plan)) if plan else {}
    before = len(door.upstream.asked)
    answer = await door.client.get(path, headers=headers)
    assert answer.status_code == status, answer.text
    assert len(door.upstream.asked) == before
    if status != 400 or door.name in {*NGINX, "caddy"}:  # the others refuse such a path before they ask
        problem = answer.json()
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert problem["status"] == status
        assert says in problem["detail"]
        assert answer.headers["x-bb-requestid"] == problem["requestId"] != ""
    assert status != 401 or answer.headers.get_list("www-authenticate") == ['Bearer realm="coffee"']


async def test_what_cannot_be_decided_is_503_with_the_time_to_try_again(door: Door) -> None:
    user = User(door.identity)
    door.identity.status = 500
    try:
        answer = await door.client.get(PATH, headers=bearer(user))
    finally:
        door.identity.status = 200
    assert (answer.status_code, answer.json()["status"]) == (503, 503), answer.text
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_session_that_ends_is_dead_at_once(door: Door, redis_url: str) -> None:
    user = User(door.identity)
    assert (await door.client.get(PATH, headers=bearer(user))).status_code == 200
    del door.identity.sessions[user.sid]
    async with redis.asyncio.from_url(redis_url) as client:
        await invalidate(client, f"session:{user.sid}")
    async with asyncio.timeout(10):
        while (await door.client.get(PATH, headers=bearer(user))).status_code != 401:
            await asyncio.sleep(0.01)


async def test_a_body_passes_both_ways_and_an_answer_is_not_held_back(door: Door) -> None:
    user = User(door.identity)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 10_000

    answer = await door.client.post(PATH, content=pieces(), headers=bearer(user))
    assert answer.json()["body"] == 200_000
    second: asyncio.Event = door.upstream.second  # type: ignore[attr-defined]
    second.clear()
    async with door.client.stream("GET", "/discovery-service/stream", headers=bearer(user)) as answer:
        chunks = answer.aiter_raw()
        async with asyncio.timeout(20):
            assert await anext(chunks) == b"first\n\n"
            second.set()
            assert b"".join([chunk async for chunk in chunks]) == b"second\n\n"


async def test_a_connection_is_upgraded_to_a_websocket_after_the_verdict(door: Door) -> None:
    head = "GET /discovery-service/ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    head += "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    token = User(door.identity).token()
    async with await RawClient.connect(door.port) as client:
        client.send(f"{head}\r\n".encode())
        status, _ = await client.head()
        assert status == 401
    async with await RawClient.connect(door.port) as client:
        client.send(f"{head}authorization: Bearer {token}\r\n\r\n".encode())
        status, _ = await client.head()
        assert status == 101
        client.send(b"ping")
        async with asyncio.timeout(10):
            assert await client.reader.readexactly(4) == b"ping"


async def test_the_session_cookie_stops_here_and_other_cookies_go_on(door: Door) -> None:
    user = User(door.identity)
    cookie = f"theme=dark; coffee_session={user.token()}; lang=en"
    seen = said(await door.client.get(PATH, headers={"cookie": cookie}))
    assert seen["cookie"] == "theme=dark; lang=en"
    assert seen["x-bb-partner-id"] == user.partner


async def test_cookies_pass_up_to_a_size_and_above_it_the_caller_hears_why(door: Door) -> None:
    bearer_of = bearer(User(door.identity))
    large = "; ".join(f"c{n}={'x' * 1000}" for n in range(13))
    assert said(await door.client.get(PATH, headers=bearer_of | {"cookie": large}))["cookie"] == large
    if door.name in {"nginx", "caddy"}:  # the others need no buffer for what they are told
        answer = await door.client.get(PATH, headers=bearer_of | {"cookie": f"{large}; d={'x' * 2500}"})
        assert (answer.status_code, answer.json()["status"]) == (431, 431)


async def test_an_alias_is_decided_about_and_sent_on_as_what_it_stands_for(door: Door) -> None:
    answer = await door.client.get("/me/entitlements?a=b", headers=bearer(User(door.identity)))
    assert answer.json()["line"] == "GET /partner-usage-service/api/me/entitlements?a=b HTTP/1.1"


async def test_pages_of_allowed_origins_may_call_and_others_not(door: Door) -> None:
    asked = {"origin": APP, "access-control-request-method": "POST"}
    answer = await door.client.options(PATH, headers=asked)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, APP)
    foreign = await door.client.options(PATH, headers=asked | {"origin": "https://evil.example"})
    assert foreign.status_code == 403
    answer = await door.client.get(PATH, headers=bearer(User(door.identity), origin=APP))
    assert answer.headers.get_list("access-control-allow-origin") == [APP]


async def test_what_the_gateway_answers_itself_is_there_and_the_verdict_is_not_for_callers(door: Door) -> None:
    assert (await door.client.get("/health/live")).json() == {"status": "UP"}
    assert (await door.client.get("/docs/")).status_code == 200
    for path in ("/_gateway/verdict", "/_gateway/verdict" + PATH, "/metrics"):
        answer = await door.client.get(path, headers=bearer(User(door.identity)))
        assert answer.status_code == 404, path


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that nginx's workers can reach a socket in: they are somebody else if root starts it."""
    with TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o711)
        yield path


@pytest.mark.parametrize("name", NGINX)
async def test_nginx_asks_over_a_socket_file_where_there_is_one(
    name: str, tmp_path: Path, redis_url: str, reachable: Path
) -> None:
    program(name)
    socket = reachable / "verdicts.sock"
    async with a_door(name, tmp_path, redis_url, COFFEE_GATEWAY_FORWARD_AUTH_SOCKET=str(socket)) as door:
        user = User(door.identity)
        assert said(await door.client.get(PATH, headers=bearer(user)))["x-bb-partner-id"] == user.partner
        assert (await door.client.get(PATH)).status_code == 401
        assert (await door.client.get("/health/live")).json() == {"status": "UP"}


async def test_an_upstream_does_not_have_a_door_ask_for_what_nobody_has_decided_about(door: Door) -> None:
    before = len(door.upstream.asked)
    answer = await door.client.get("/discovery-service/elsewhere", headers=bearer(User(door.identity)))
    assert (answer.status_code, answer.text) == (200, "here")
    assert len(door.upstream.asked) == before + 1


@pytest.mark.parametrize("name", NGINX)
async def test_behind_nginx_an_upstream_that_takes_too_long_is_504_and_one_that_is_gone_502(
    name: str, tmp_path: Path, redis_url: str
) -> None:
    program(name)
    async with a_door(name, tmp_path, redis_url, COFFEE_GATEWAY_UPSTREAM_IDLE_TIMEOUT="1") as door:
        user = User(door.identity)
        late = await door.client.get("/discovery-service/silent", headers=bearer(user))
        await door.upstream.stop()
        gone = await door.client.get(PATH, headers=bearer(user))
    for answer, status in ((late, 504), (gone, 502)):
        assert (answer.status_code, answer.json()["status"]) == (status, status), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-bb-requestid"] == answer.json()["requestId"] != ""


@pytest.mark.parametrize("name", DOORS)
async def test_a_caller_who_asks_too_often_is_told_when_to_come_back(name: str, tmp_path: Path, redis_url: str) -> None:
    """And without a gateway nothing is let through."""
    program(name)
    limits = {"COFFEE_GATEWAY_ADDRESS_RATE": "0.01", "COFFEE_GATEWAY_ADDRESS_BURST": "2"}
    # an address of its own each: the limit is one for all gateways
    source = httpx2.AsyncHTTPTransport(local_address=f"127.0.1.{1 + DOORS.index(name)}")
    async with (
        a_door(name, tmp_path, redis_url, **limits) as door,
        httpx2.AsyncClient(base_url=door.client.base_url, trust_env=False, transport=source) as client,
    ):
        answers = [await client.get(SHARED) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert answers[-1].json()["status"] == 429
        assert "ratelimit" in answers[-1].headers
        await ended(door.gateway)
        answer = await client.get(SHARED)
        assert answer.status_code >= 500
        assert len(door.upstream.asked) == 2
