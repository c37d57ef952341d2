"""Transaction: what the handler did is committed once, together with the inbox's note and the events it raised."""

from __future__ import annotations

import asyncio
import logging

from coffee_core.domain.errors import RetryableError
from coffee_core.messaging.broker import Again, Dead, Done, Outcome
from coffee_core.messaging.handling import Handler, HandlerError, Handling, Step
from coffee_core.messaging.middleware.retry import AlreadyHandled
from coffee_core.persistence.unit_of_work import current_work

log = logging.getLogger(__name__)


def in_transaction(name: str, step: Step) -> Handler:
    """Commit after `step`, or undo everything and tell the outcome.

    A handler that fails is `Dead`. A database that cannot begin or commit is not the message's fault: `Again`.
    """

    async def handler(handling: Handling) -> Outcome:
        work = current_work()
        try:
            await step(handling)
            await work.commit()
        except AlreadyHandled:
            await work.rollback()
            return Done()
        except HandlerError as error:
            await work.rollback()
            return Dead(f"{name}: {error.text}")
        except RetryableError as error:
            await work.rollback()
            log.warning("%s takes message %s again later: %s", name, handling.message.id, error.detail)
            return Again(0)
        except asyncio.CancelledError:
            await asyncio.shield(work.rollback())
            raise
        except Exception as error:
            await work.rollback()
            log.exception("%s could not commit message %s", name, handling.message.id)
            return Dead(f"{name}: {type(error).__name__}: {error}")
        return Done()

    return handler
