"""What the gateways keep of this service's facts, and how a change reaches them: docs/decisions/0060.

Whoever changes something stores the cache keys in the same transaction (table `invalidation`) and pushes them after
the commit. A push that fails, or a process that dies in between, leaves the row: it is pushed again until it is done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
from redis.exceptions import RedisClusterException, RedisError

from coffee_core.cache.announce import invalidate
from coffee_core.cache.redis_tier import Answer, RedisTier, State
from coffee_core.domain.context import OPERATOR_PARTNER
from coffee_core.domain.search import CountMode, SearchQuery, path
from coffee_core.domain.tasks import end_tasks
from coffee_core.persistence.unit_of_work import begin_transaction
from coffee_core.rest.dao import Dao
from modules.identity.entity import InvalidationEntity, SessionEntity
from modules.identity.entry import SessionFact
from modules.identity.settings import IdentitySettings
from modules.identity.system import own_work

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.1
BATCH = 500


def session_key(sid: str) -> str:
    """Where a session is kept."""
    return f"session:{sid}"


def plan_key(partner_id: int) -> str:
    """Where a partner's plan is kept."""
    return f"plan:{partner_id}"


def fact_of(session: SessionEntity) -> SessionFact:
    """What the gateway is told of a session."""
    return SessionFact(
        uid=session.user_id,
        account_id=session.account_id,
        partner_id=session.partner_id,
        exp=int(session.expires_at.timestamp()),
        operator=session.partner_id == OPERATOR_PARTNER,
    )


class CachedFacts:
    """Without Redis there is nothing to tell: the gateways ask here, and keep an answer for their bound."""

    def __init__(self, dao: Dao[InvalidationEntity, int], settings: IdentitySettings, redis: RedisTier | None) -> None:
        self._dao = dao
        self._settings = settings
        self._redis = redis
        self._again: asyncio.Task[None] | None = None

    async def changed(self, *keys: str) -> None:
        """Part of a change: what is kept under these keys is wrong once it is committed."""
        if self._redis is None or not keys:
            return
        work = begin_transaction()
        rows, _ = await self._dao.upsert([{"key": key} for key in keys], ())
        ids = [row.id for row in self._dao.entities(rows)]

        async def push() -> None:
            if not await self._push(keys, ids):
                self._retry()

        work.after_commit(push)

    async def prepare(self, key: str) -> Answer | None:
        """Before a commit: what is there now. Only that may be replaced afterwards (`store`), so that an end of the
        session that comes in between is not undone. None: nothing can be stored."""
        if self._redis is None:
            return None
        answer = await self._redis.claim(key, seconds=self._settings.push_seconds + 5)
        return answer if answer.state in (State.CLAIMED, State.FOUND) else None

    async def store(self, key: str, seen: Answer, session: SessionEntity) -> None:
        """After the commit: spare the gateways a question."""
        left = (session.expires_at - datetime.now(UTC)).total_seconds()
        seconds = min(self._settings.session_cache_seconds, left)
        if self._redis is not None and seconds > 0:
            raw = orjson.dumps(fact_of(session).model_dump(by_alias=True))
            await self._redis.fill(key, seen.raw, raw, seconds=seconds)

    async def push_waiting(self) -> bool:
        """Push what is stored and not pushed yet, oldest first; whether all of it is done. For the job, and for the
        retries of this process. A key that another process is pushing is pushed twice: no harm."""
        if self._redis is None:
            return True
        while True:
            async with own_work():
                rows = await self._dao.search(SearchQuery(size=BATCH, count=CountMode.NONE))
                waiting = self._dao.entities(rows)
            if not waiting:
                return True
            if not await self._push([row.key for row in waiting], [row.id for row in waiting]):
                return False

    async def close(self) -> None:
        """Stop trying again; what is stored stays for the next process."""
        if self._again is not None:
            await end_tasks(self._again)
        if self._redis is not None:
            await self._redis.close()

    async def _push(self, keys: Sequence[str], ids: Sequence[int]) -> bool:
        assert self._redis is not None
        try:
            async with asyncio.timeout(self._settings.push_seconds):
                await invalidate(self._redis.redis, *keys)
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            log.warning("%d changes could not be pushed (%s): trying again", len(keys), type(error).__name__)
            return False
        async with own_work():
            await self._dao.delete_where(path(InvalidationEntity.id).within(ids))
        return True

    def _retry(self) -> None:
        if self._again is None or self._again.done():
            self._again = asyncio.get_running_loop().create_task(self._keep_trying(), name="identity invalidations")

    async def _keep_trying(self) -> None:
        pause = FIRST_PAUSE
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 2, self._settings.push_retry_seconds)
            try:
                if await self.push_waiting():
                    return
            except Exception:
                log.exception("changes could not be pushed: trying again")
