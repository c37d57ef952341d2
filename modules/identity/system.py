"""Work that this service does on nobody's behalf, in a unit of work of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uuid_utils

from coffee_core.domain.context import CURRENT, RequestContext
from coffee_core.domain.plan import Plan
from coffee_core.persistence.unit_of_work import UnitOfWork, work_of


@asynccontextmanager
async def own_work() -> AsyncIterator[UnitOfWork]:
    """A block that commits at its end, whatever becomes of the request around it: a stolen token's session has to
    end, although the request that showed it is refused. A commit that has begun is finished with all its steps, even
    if the caller goes away meanwhile. The block has no partner: it sees tenants' rows through `across_partners()`.
    """
    around = CURRENT.get(None)
    id = str(uuid_utils.uuid7()) if around is None else around.request_id
    context = RequestContext(request_id=id, plan=Plan.PAID)
    token = CURRENT.set(context)
    work = work_of(context)
    try:
        try:
            yield work
        except BaseException:
            await asyncio.shield(work.rollback())
            raise
        committing = asyncio.ensure_future(work.commit())
        try:
            await asyncio.shield(committing)
        except asyncio.CancelledError:
            await asyncio.wait({committing})
            raise
    finally:
        CURRENT.reset(token)
