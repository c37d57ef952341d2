"""What reaches the gateways, and when: held with the gateway's own caches and its own client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import orjson
import pytest

from coffee_core.cache.link import InvalidationLink
from coffee_core.cache.local import QueueCache
from coffee_core.cache.redis_client import AnyRedis
from coffee_core.cache.redis_scripts import RedisScripts
from coffee_core.cache.redis_tier import RedisTier
from coffee_core.cache.two_tier import TwoTierCache
from coffee_core.domain.errors import UnavailableError
from coffee_core.domain.plan import Plan
from coffee_core.stores.postgres.store import PostgresStore
from coffee_core.testing.cache import until
from gateway.verdict.identity import IdentityClient
from gateway.verdict.plan import Grant, PlanSource
from gateway.verdict.session import Session, SessionSource
from tests.modules.identity.rig import OPERATOR, PASSWORD, SIGNING_KEY, Person, Service, bearer, settings_for
from tests.support.cable import Cable


class Gateway:
    """One gateway process, as far as identity is concerned."""

    def __init__(self, service: Service, redis_url: str | None, client: httpx2.AsyncClient, key: str) -> None:
        self.remote = (
            None if redis_url is None else RedisTier(RedisScripts.open(redis_url, timeout=1, max_connections=4))
        )
        self.link = None if redis_url is None else InvalidationLink(redis_url, canary_every=0.05, doubt_after=0.5)
        identity = IdentityClient("http://identity", client, key)
        self.sessions: TwoTierCache[Session] = TwoTierCache(
            SessionSource(identity), QueueCache(1_000_000), remote=self.remote, link=self.link
        )
        self.plans: TwoTierCache[Grant] = TwoTierCache(
            PlanSource(identity), QueueCache(1_000_000), remote=self.remote, link=self.link
        )

    async def knows(self, tokens: dict[str, Any]) -> bool:
        return await self.sessions.get(f"session:{tokens['sid']}") is not None

    def holds(self, tokens: dict[str, Any]) -> bool:
        """Whether it would let the session pass without asking anybody."""
        entry = self.sessions.peek(f"session:{tokens['sid']}")
        return entry is not None and entry.value is not None

    async def plan(self, partner_id: int) -> Plan:
        grant = await self.plans.get(f"plan:{partner_id}")
        assert grant is not None
        return grant.plan


@asynccontextmanager
async def gateway(service: Service, redis_url: str | None, key: str = SIGNING_KEY) -> AsyncIterator[Gateway]:
    transport = httpx2.ASGITransport(app=service.application.asgi())
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx2.AsyncClient(transport=transport))
        process = Gateway(service, redis_url, client, key)
        if process.link is not None and process.remote is not None:
            link = process.link
            link.start()
            stack.push_async_callback(process.remote.close)
            stack.push_async_callback(link.stop)
            await until(lambda: not link.in_doubt)
        yield process


async def wait_until_told(*gateways: Gateway, of: dict[str, Any]) -> None:
    await until(lambda: not any(each.holds(of) for each in gateways))
    assert [await each.knows(of) for each in gateways] == [False] * len(gateways)


async def test_a_login_spares_the_gateways_the_question(service: Service, redis_url: str) -> None:
    async with gateway(service, redis_url) as one:
        tokens = await service.login(await service.person())
        assert await one.knows(tokens)
        assert one.sessions.stats.loads == 0
        found = await one.sessions.get(f"session:{tokens['sid']}")
        assert found is not None
        assert found.expires > time.time() + 86_400


async def test_what_the_service_answers_is_what_it_stores(service: Service, redis: AnyRedis) -> None:
    tokens = await service.login(await service.person())
    raw = await redis.get(f"session:{tokens['sid']}")
    assert orjson.loads(raw) == await service.session(tokens["sid"])
    assert 0 < await redis.pttl(f"session:{tokens['sid']}") <= 300_000


async def test_a_gateway_without_redis_asks_the_service(service: Service) -> None:
    async with gateway(service, None) as one:
        person = await service.person()
        tokens = await service.login(person)
        assert await one.knows(tokens)
        assert await one.plan(person.partner_id) is Plan.FREE
        assert not await one.knows({"sid": "A" * 22})
        assert not await one.knows({"sid": "' OR 1=1"})


async def test_a_gateway_with_another_key_learns_nothing_and_logs_nobody_out(service: Service) -> None:
    """A wrong key is a mistake in the settings: 503, and not the 401 that would end every session."""
    async with gateway(service, None, key="a key that identity does not have, long") as one:
        tokens = await service.login(await service.person())
        with pytest.raises(UnavailableError):
            await one.knows(tokens)


async def log_out(service: Service, person: Person, tokens: dict[str, Any]) -> None:
    await service.answer("auth_logout", headers=bearer(tokens))


async def log_out_everywhere(service: Service, person: Person, tokens: dict[str, Any]) -> None:
    await service.answer("auth_logout", headers=bearer(tokens), query="everywhere=true")


async def end_session(service: Service, person: Person, tokens: dict[str, Any]) -> None:
    await service.answer("sessions_end", by=person.context, id=tokens["sid"])


async def change_password(service: Service, person: Person, tokens: dict[str, Any]) -> None:
    body = {"currentPassword": PASSWORD, "newPassword": "something else, and long"}
    await service.answer("users_password", body, by=person.context, id=person.id)


async def block(service: Service, person: Person, tokens: dict[str, Any]) -> None:
    body = {"status": "BLOCKED"}
    await service.answer("account_patch", body, by=OPERATOR, id=person.partner_id, rowId=person.account_id)


async def delete(service: Service, person: Person, tokens: dict[str, Any]) -> None:
    await service.answer("users_delete", by=OPERATOR, id=person.id)


async def use_an_old_token(service: Service, person: Person, tokens: dict[str, Any]) -> None:
    (first,) = await service.data("auth_refresh", {"refreshToken": tokens["refreshToken"]})
    await service.data("auth_refresh", {"refreshToken": first["refreshToken"]})
    with pytest.raises(Exception, match="log in again"):
        await service.data("auth_refresh", {"refreshToken": tokens["refreshToken"]})


ENDS = [log_out, log_out_everywhere, end_session, change_password, block, delete, use_an_old_token]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_the_end_of_a_session_reaches_every_gateway(service: Service, redis_url: str, end: Any) -> None:
    async with gateway(service, redis_url) as one, gateway(service, redis_url) as other:
        person = await service.person()
        tokens = await service.login(person)
        assert await one.knows(tokens)
        assert await other.knows(tokens)
        await end(service, person, tokens)
        await wait_until_told(one, other, of=tokens)


async def test_a_change_of_contract_reaches_every_gateway(service: Service, redis_url: str) -> None:
    async with gateway(service, redis_url) as one, gateway(service, redis_url) as other:
        partner = await service.partner()
        assert [await each.plan(partner) for each in (one, other)] == [Plan.FREE] * 2
        start = datetime.now(UTC) - timedelta(hours=1)
        body = {"contractType": "SAAS", "plan": "PAID", "startTime": start.isoformat()}
        (made,) = await service.data("contract_create", body, by=OPERATOR, id=partner)
        await until_plan(Plan.PAID, partner, one, other)
        await service.answer("contract_patch", {"plan": "SAAS"}, by=OPERATOR, id=partner, rowId=made["id"])
        await until_plan(Plan.SAAS, partner, one, other)
        await service.answer("contract_delete", by=OPERATOR, id=partner, rowId=made["id"])
        await until_plan(Plan.FREE, partner, one, other)


async def until_plan(plan: Plan, partner: int, *gateways: Gateway) -> None:
    async with asyncio.timeout(5):
        for each in gateways:
            while await each.plan(partner) is not plan:
                await asyncio.sleep(0.005)


async def test_without_redis_people_sign_in_and_out_and_it_is_told_when_redis_is_back(
    store: PostgresStore, redis_url: str
) -> None:
    """The gateway reaches Redis, the service does not: the one case in which an ended session is still believed."""
    async with Cable(redis_url) as cable:
        service = Service(store, settings_for(cable.url, push_retry_seconds=0.2))
        person = await service.person()
        async with gateway(service, redis_url) as one:
            early = await service.login(person)
            assert await one.knows(early)
            await cable.cut()
            late = await service.login(person)
            assert await one.knows(late)
            await service.answer("auth_logout", headers=bearer(early))
            with pytest.raises(Exception, match="no such session"):
                await service.session(early["sid"])
            assert await waiting(store, early) == 1
            await cable.plug_in()
            await wait_until_told(one, of=early)
            async with asyncio.timeout(5):
                while await waiting(store, early):
                    await asyncio.sleep(0.01)
            assert await one.knows(late)
        await service.close()


async def test_a_hanging_redis_delays_an_answer_by_no_more_than_its_bound(store: PostgresStore, redis_url: str) -> None:
    async with Cable(redis_url) as cable:
        service = Service(store, settings_for(cable.url, redis_timeout_seconds=0.1, push_seconds=0.3))
        person = await service.person()
        cable.hang()
        async with asyncio.timeout(10):
            tokens = await service.login(person)
            await service.answer("auth_logout", headers=bearer(tokens))
        assert await waiting(store, tokens) == 1
        cable.flow()
        await service.close()


async def test_what_a_killed_process_left_is_pushed_by_the_job_of_another(
    store: PostgresStore, service: Service, redis_url: str
) -> None:
    async with Cable(redis_url) as cable, gateway(service, redis_url) as one:
        killed = Service(store, settings_for(cable.url))
        tokens = await killed.login(await killed.person())
        assert await one.knows(tokens)
        await cable.cut()
        await killed.answer("auth_logout", headers=bearer(tokens))
        await killed.close()
        assert one.holds(tokens)
        (job,) = [job for job in service.mounted.jobs if job.name == "identity_invalidations"]
        await job.run()
        await wait_until_told(one, of=tokens)
        assert await waiting(store, tokens) == 0


async def test_a_login_that_is_slower_than_the_end_of_its_session_does_not_bring_it_back(
    store: PostgresStore, redis_url: str, redis: AnyRedis
) -> None:
    """Found on paper: what a login stores in Redis after its commit came after another request had ended all sessions,
    and the ended one was believed for five minutes. What was claimed before the commit is gone, and stays gone."""
    service = Service(store, settings_for(redis_url))
    tokens = await service.login(await service.person())
    key, cached = f"session:{tokens['sid']}", service.cached
    seen = await cached.prepare(key)
    assert seen is not None
    session = await service.auth.find(tokens["sid"])
    assert session is not None
    await service.answer("auth_logout", headers=bearer(tokens))
    await cached.store(key, seen, session)
    assert await redis.get(key) is None
    await service.close()


async def waiting(store: PostgresStore, tokens: dict[str, Any]) -> int:
    """Pushes of this session's end that are still to be done."""
    connection = await store.pool.take()
    try:
        count = await connection.raw.fetchval(
            "SELECT count(*) FROM identity.invalidation WHERE key = $1", f"session:{tokens['sid']}"
        )
    finally:
        store.pool.give(connection)
    return int(count)


async def test_a_caller_who_leaves_while_his_logout_commits_is_logged_out_everywhere(
    service: Service, redis_url: str
) -> None:
    """However far it had come: either nothing has happened, or all of it, the push too."""
    async with gateway(service, redis_url) as one:
        person = await service.person()
        for step in range(25):
            tokens = await service.login(person)
            assert await one.knows(tokens)
            leaving = asyncio.ensure_future(service.answer("auth_logout", headers=bearer(tokens)))
            await asyncio.wait({leaving}, timeout=step * 0.0005)  # wherever it is by then
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            there = await service.session_or_none(tokens["sid"])
            await until(lambda left=there, mine=tokens: left is not None or not one.holds(mine))
