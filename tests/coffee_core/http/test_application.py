"""The application's life: start, probes, drain, stop."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from coffee_core.http.settings import HttpSettings
from tests.coffee_core.http.rig import application, hello, request, route


async def probe(app: object, name: str) -> tuple[int, list[str]]:
    response = await app.handler(request(f"/health/{name}", headers={}))  # type: ignore[attr-defined]  # an Application
    return response.status, orjson.loads(response.body)["failed"]


async def test_what_was_opened_is_closed_in_reverse_even_if_one_fails() -> None:
    seen: list[str] = []

    def hook(name: str, *, fails: bool = False) -> object:
        async def run() -> None:
            seen.append(name)
            if fails:
                raise OSError

        return run

    app = application(
        route(hello), on_start=[hook("open a"), hook("open b")], on_stop=[hook("close a"), hook("close b", fails=True)]
    )
    await app.start()
    await app.stop()
    assert seen == ["open a", "open b", "close b", "close a"]


async def test_a_start_that_fails_half_way_closes_what_it_opened() -> None:
    seen: list[str] = []

    async def fails() -> None:
        raise OSError("no database")

    async def close() -> None:
        seen.append("closed")

    app = application(route(hello), on_start=[fails], on_stop=[close])
    with pytest.raises(OSError, match="no database"):
        await app.start()
    assert seen == ["closed"]


async def test_live_says_only_that_the_process_answers() -> None:
    async def down() -> str | None:
        return "the database is down"

    app = application(route(hello), startup=[down], ready=[down])
    assert await probe(app, "live") == (200, [])


async def test_startup_is_red_until_the_migrations_are_applied_and_then_stays_green() -> None:
    missing: list[str | None] = ["2 migrations of social_profile are not applied"]

    async def migrated() -> str | None:
        return missing[0]

    app = application(route(hello), startup=[migrated])
    assert await probe(app, "startup") == (503, ["2 migrations of social_profile are not applied"])
    assert (await probe(app, "ready"))[0] == 503
    missing[0] = None
    assert await probe(app, "startup") == (200, [])
    missing[0] = "asked again"
    assert await probe(app, "startup") == (200, [])
    assert await probe(app, "ready") == (200, [])


async def test_ready_follows_its_dependencies_and_names_what_fails_without_its_secrets() -> None:
    async def broken() -> str | None:
        raise ConnectionError("postgresql://u:hunter2@db")

    status, failed = await probe(application(route(hello), ready=[broken]), "ready")
    assert status == 503
    assert failed == [f"{broken.__qualname__} failed: ConnectionError"]


async def test_a_check_that_does_not_answer_has_failed() -> None:
    async def hangs() -> str | None:
        await asyncio.Event().wait()
        return None

    settings = HttpSettings(access_log="off", health_seconds=0.01)
    status, failed = await probe(application(route(hello), ready=[hangs], settings=settings), "ready")
    assert (status, failed) == (503, [f"{hangs.__qualname__} did not answer within 0.01 s"])


async def test_many_probes_at_once_ask_a_dependency_once() -> None:
    asked = 0

    async def counts() -> str | None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return None

    app = application(route(hello), ready=[counts])
    await asyncio.gather(*(probe(app, "ready") for _ in range(20)))
    assert asked == 1


async def test_a_draining_process_wants_no_more_requests_but_still_answers_them() -> None:
    app = application(route(hello))
    await app.drain()
    assert await probe(app, "ready") == (503, ["draining: this process is about to stop"])
    assert (await probe(app, "live"))[0] == 200
    assert (await app.handler(request())).status == 200


async def test_metrics_are_prometheus_text() -> None:
    app = application(route(hello))
    await app.handler(request())
    response = await app.handler(request("/metrics", headers={}))
    assert response.content_type == b"text/plain; version=0.0.4; charset=utf-8"
    assert b"# TYPE http_request_seconds histogram" in response.body
    assert b"process_cpu_seconds_total" in response.body
