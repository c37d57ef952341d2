"""nginx that asks by Lua: what may go wrong between the two, with both of them real."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
import pytest

from tests.gateway.render.rig import APP, Door, a_door, coffee, ended, program, render, said, start
from tests.gateway.verdict.rig import User
from tests.support.ports import free_port
from tests.support.raw_http import RawClient

NAME = "nginx by Lua"
PATH = "/discovery-service/api/profile/1"
SHARED = "/profile-collection-service/api/collection/byshareid/"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """For a socket file that nginx's workers can reach: they are somebody else if root starts it."""
    program(NAME)
    with TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
async def door(folder: Path, tmp_path: Path, redis_url: str) -> AsyncIterator[Door]:
    settings = {
        "COFFEE_GATEWAY_FORWARD_AUTH_SOCKET": str(folder / "verdicts.sock"),
        "COFFEE_GATEWAY_ADDRESS_RATE": "100000",
        "COFFEE_GATEWAY_PARTNER_RATE_FREE": "100000",
    }
    async with a_door(NAME, tmp_path, redis_url, **settings) as running:
        yield running


def bearer(user: User) -> dict[str, str]:
    return {"authorization": f"Bearer {user.token()}"}


async def test_each_of_many_callers_at_once_gets_the_answer_to_his_own_request(door: Door) -> None:
    users = [User(door.identity, plan) for plan in ("SAAS", "PAID", "FREE") * 10]

    async def ask(number: int) -> None:
        public = number % 3 == 0
        path = f"{SHARED}{number}" if public else f"/discovery-service/api/profile/{number}"
        user = None if public or number % 3 == 1 else users[number % len(users)]
        answer = await door.client.get(path, headers=bearer(user) if user else {})
        if user is None and not public:
            assert (answer.status_code, answer.json()["instance"]) == (401, path)
            return
        assert answer.json()["line"] == f"GET {path} HTTP/1.1"
        seen = said(answer)
        assert seen.get("x-bb-partner-id") == (user.partner if user else None)
        assert seen["x-bb-requestid"] == answer.headers["x-bb-requestid"]

    await asyncio.gather(*(ask(number) for number in range(600)))
    assert "[error]" not in door.log.read_text()


async def test_a_request_is_decided_about_as_it_came_however_the_network_cut_it(door: Door) -> None:
    user = User(door.identity)
    head = f"GET {PATH} HTTP/1.1\r\nhost: a\r\nx-bb-uid: 1\r\nauthorization: Bearer {user.token()}\r\n\r\n".encode()
    refused = f"POST {PATH} HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n12345".encode()
    async with await RawClient.connect(door.port) as client:
        for at in range(1, len(head), 7):
            client.send(head[:at])
            await client.flush()
            answer = await client.ask(head[at:])
            assert answer.status == 200, at
            assert f'"x-bb-partner-id": "{user.partner}"'.encode() in answer.body
    async with await RawClient.connect(door.port) as client:
        client.send((head + refused) * 5)
        for _ in range(5):
            assert (await client.answer()).status == 200
            assert (await client.answer()).status == 401
    before = len(door.upstream.asked)
    large = head[:-2] + b"".join(b"x-l%d: %b\r\n" % (number, b"y" * 4000) for number in range(5)) + b"\r\n"
    async with await RawClient.connect(door.port) as client:
        client.send(large + head)
        answers = [await client.answer(), await client.answer()]
    assert [answer.status for answer in answers] == [200, 200]
    assert [len(asked.header(b"x-l4")) for asked in door.upstream.asked[before:]] == [4000, 0]


async def test_a_head_that_is_too_large_is_refused_and_is_nobody_elses_matter(door: Door) -> None:
    """nginx takes 8 buffers of 16 KiB: more than a question may have."""
    user, over = User(door.identity), asyncio.Event()

    asking = [asyncio.create_task(_statuses(door, user, over)) for _ in range(4)]
    first = b"GET /" + b"a" * (1024 - 25) + b" HTTP/1.1\r\nhost: a\r\n"
    assert len(first) == 1024, "nginx' first buffer, so that each of the others has two lines"
    for sizes in ([8192] * 5, [8192] * 15, [*[8192] * 15, 8190], [8192] * 16):
        lines = [b"x-large: " + b"y" * (size - 11) + b"\r\n" for size in sizes]
        async with await RawClient.connect(door.port) as client:
            client.send(first + b"".join(lines) + b"\r\n")
            status, _ = await client.head()
            assert status in {400, 431}, "nginx' own, or the gateway's"
    over.set()
    assert set().union(*await asyncio.gather(*asking)) == {200}
    assert "does not answer" not in door.log.read_text()


@pytest.mark.parametrize(
    "head",
    [
        "GET /discovery-service/x HTTP/1.2\nhost: a\n\n",
        "GET http://b/discovery-service/x HTTP/1.9\r\nhost: a\r\n\r\n",
        "GET /discovery-service/x\r\n",
    ],
)
async def test_a_version_that_is_none_is_refused(door: Door, head: str) -> None:
    before = len(door.upstream.asked)
    async with await RawClient.connect(door.port) as client:
        client.send(head.encode())
        said = await client.reader.read(4096)
    assert said == b"" or b'status":505' in said or b'status":400' in said
    assert len(door.upstream.asked) == before


async def test_nginx_reads_its_configuration_again_without_a_request_lost(door: Door) -> None:
    """In the old workers and in the new ones, with streams and timers of both; and in those that had nothing to do."""
    user, over = User(door.identity), asyncio.Event()

    async def ask_once() -> None:
        async with httpx2.AsyncClient(base_url=door.client.base_url, trust_env=False) as client:
            assert (await client.get(PATH, headers=bearer(user))).status_code == 200

    async def ask() -> None:
        while not over.is_set():
            await ask_once()

    async def reload() -> None:
        before = _workers(door.proxy)
        door.proxy.send_signal(signal.SIGHUP)
        async with asyncio.timeout(30):
            while set(_workers(door.proxy)) & set(before):
                await asyncio.sleep(0.02)

    await ask_once()
    for _ in range(3):
        await reload()
        for _ in range(12):
            await ask_once()
    asking = [asyncio.create_task(ask()) for _ in range(4)]
    await reload()
    over.set()
    await asyncio.gather(*asking)
    assert "signal 11" not in door.log.read_text()


@pytest.mark.parametrize("line", ["x-a: 1\nx-bb-uid: 7", "x-a : 1", "x-a: 1\r\n folded: 2", "x-bb-uid\x00: 7"])
async def test_a_head_with_two_meanings_brings_no_line_to_the_upstream_that_was_not_decided_about(
    door: Door, line: str
) -> None:
    head = f"GET {PATH} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {User(door.identity).token()}\r\n{line}\r\n\r\n"
    async with await RawClient.connect(door.port) as client:
        client.send(head.encode())
        status, _ = await client.head()
    assert status in {200, 400}
    if status == 200:
        assert door.asked().header(b"x-bb-uid") not in {b"7", b""}


async def test_while_there_is_no_gateway_nothing_passes_and_when_there_is_one_again_all_does(
    door: Door, tmp_path: Path
) -> None:
    user = User(door.identity)
    assert (await door.client.get(PATH, headers=bearer(user))).status_code == 200
    workers = _workers(door.gateway)
    door.gateway.kill()
    await door.gateway.wait()
    for worker in set(workers) - {door.gateway.pid}:
        os.kill(worker, signal.SIGKILL)
    passed = len(door.upstream.asked)
    answers = await asyncio.gather(*(door.client.get(f"{SHARED}{number}") for number in range(50)))
    assert {answer.status_code for answer in answers} == {503}
    assert {(answer.headers["retry-after"], answer.json()["status"]) for answer in answers} == {("1", 503)}
    assert len(door.upstream.asked) == passed
    again = await coffee(("gateway",), door.env, tmp_path / "again.log")
    try:
        async with asyncio.timeout(30):
            while (await door.client.get(PATH, headers=bearer(user))).status_code != 200:
                await asyncio.sleep(0.02)
    finally:
        await ended(again)


async def test_a_gateway_that_hangs_is_not_waited_for_longer_than_a_bound(door: Door) -> None:
    user = User(door.identity)
    assert (await door.client.get(PATH, headers=bearer(user))).status_code == 200
    (worker,) = _workers(door.gateway)
    os.kill(worker, signal.SIGSTOP)
    try:
        async with asyncio.timeout(8):
            answer = await door.client.get(PATH, headers=bearer(user), timeout=8)
        assert answer.status_code == 503
    finally:
        os.kill(worker, signal.SIGCONT)
    async with asyncio.timeout(10):
        while (await door.client.get(PATH, headers=bearer(user))).status_code != 200:
            await asyncio.sleep(0.02)


async def test_a_gateway_that_makes_room_for_another_costs_no_request(door: Door) -> None:
    """SIGHUP: new processes take over, and the stream of an old one ends when it has answered."""
    user, over = User(door.identity), asyncio.Event()
    before = _workers(door.gateway)

    asking = [asyncio.create_task(_statuses(door, user, over)) for _ in range(8)]
    door.gateway.send_signal(signal.SIGHUP)
    async with asyncio.timeout(40):
        while set(_workers(door.gateway)) & set(before):
            await asyncio.sleep(0.02)
    over.set()
    assert set().union(*await asyncio.gather(*asking)) == {200}


async def test_each_of_several_gateway_processes_is_asked_when_there_is_much_to_ask(
    folder: Path, tmp_path: Path, redis_url: str
) -> None:
    settings = {
        "COFFEE_GATEWAY_FORWARD_AUTH_SOCKET": str(folder / "verdicts.sock"),
        "COFFEE_GATEWAY_WORKERS": "2",
        "COFFEE_GATEWAY_ADDRESS_RATE": "100000",
    }
    async with a_door(NAME, tmp_path, redis_url, **settings) as door:
        counted = re.compile(r'gateway_requests_total\{.*route="verdict",status="200",worker="(.)"\}').findall
        async with asyncio.timeout(40):
            asked: set[str] = set()
            while len(asked) < 2:
                answers = await asyncio.gather(*(door.client.get(f"{SHARED}{number}") for number in range(100)))
                assert {answer.status_code for answer in answers} == {200}
                asked = set(counted((await door.client.get(door.metrics)).text))


async def test_nginx_ends_in_good_order_though_it_has_a_stream_open(door: Door) -> None:
    assert (await door.client.get(SHARED + "1")).status_code == 200
    await door.client.aclose()
    door.proxy.send_signal(signal.SIGQUIT)
    async with asyncio.timeout(8):  # less than the drain's bound
        assert await door.proxy.wait() == 0


async def test_where_the_upstream_does_not_answer_the_caller_hears_so_with_the_gateways_lines(
    folder: Path, tmp_path: Path, redis_url: str
) -> None:
    dead = {
        "COFFEE_SAAS_URL": f"http://127.0.0.1:{free_port()}",
        "COFFEE_SAAS_DATA_URL": f"http://127.0.0.1:{free_port()}",
    }
    async with a_door(NAME, tmp_path, redis_url, **dead) as door:
        answer = await door.client.get(PATH, headers=bearer(User(door.identity)) | {"origin": APP})
        assert answer.status_code == 502
        assert answer.headers["x-bb-requestid"] == answer.json()["requestId"] != ""
        assert answer.headers.get_list("access-control-allow-origin") == [APP]
        assert "ratelimit" in answer.headers


async def test_over_http_2_the_same_holds(door: Door, tmp_path: Path) -> None:
    """Its head is no text: it is written for the question, and answers have one line a header."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("no curl on this machine: it speaks HTTP/2 here")
    port = free_port()
    listen = f"127.0.0.1:{port}"
    text = await asyncio.to_thread(render, NAME, listen, door.env)
    text = text.replace(f"listen {listen} backlog=1024;", f"listen {listen} http2;")
    second = tmp_path / "second"
    second.mkdir()
    proxy = await start(NAME, text, second, port)
    user = User(door.identity)

    async def ask(path: str, *options: str) -> tuple[list[str], str]:
        arguments = ("--http2-prior-knowledge", "-si", "--retry-connrefused", "--retry", "20", *options)
        process = await asyncio.create_subprocess_exec(
            curl, *arguments, f"http://{listen}{path}", stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        head, _, body = out.decode().partition("\r\n\r\n")
        return head.lower().split("\r\n"), body

    try:
        token, origin = ("-H", f"authorization: Bearer {user.token()}"), ("-H", f"origin: {APP}")
        head, body = await ask(PATH, *token, *origin, "-b", "theme=dark", "-H", "x-bb-uid: 1")
        assert head[0].strip() == "http/2 200"
        seen = httpx2.Response(200, content=body).json()["headers"]
        assert (seen["x-bb-partner-id"], seen["cookie"]) == (user.partner, "theme=dark")
        for line in (
            f"access-control-allow-origin: {APP}",
            "vary: origin",
            f"x-bb-requestid: {seen['x-bb-requestid']}",
        ):
            assert head.count(line) == 1, (line, head)
        assert sum(line.startswith("ratelimit: ") for line in head) == 1
        head, body = await ask(PATH)
        assert head[0].strip() == "http/2 401"
        assert '"status":401' in body
        assert (await ask("/nothing", *token))[0][0].strip() == "http/2 404"
        head, _ = await ask("/discovery-service/ws", *token, "-H", "connection: upgrade", "-H", "upgrade: websocket")
        assert not {"upgrade", "connection"} & {name for name, value in door.asked().headers if value}
        await door.upstream.stop()
        head, _ = await ask(PATH, *token, *origin)
        assert head[0].strip() == "http/2 502"
        assert head.count(f"access-control-allow-origin: {APP}") <= 1
    finally:
        await ended(proxy)


async def _statuses(door: Door, user: User, over: asyncio.Event) -> set[int]:
    """What a caller hears who asks again and again until it is over."""
    found = set()
    while not over.is_set():
        found.add((await door.client.get(PATH, headers=bearer(user))).status_code)
    return found


def _workers(gateway: asyncio.subprocess.Process) -> list[int]:
    """Processes that decide: the children of the one that supervises, or that one itself."""
    children = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()
    return [int(pid) for pid in children] or [gateway.pid]
