"""Only what may succeed later is tried again, in time and within bounds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.domain.context import CURRENT, RequestContext
from coffee_core.domain.errors import LimitError, RuleError, UnavailableError
from coffee_core.resilience.retry import Backoff, Retry

QUICK = Backoff(attempts=3, first_seconds=0.001, longest_seconds=0.01)


class Failing:
    """Raises what it is given, one after the other, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def gone(retry_after: float = 0) -> UnavailableError:
    return UnavailableError("gone", retry_after=retry_after)


async def test_what_may_be_gone_in_a_moment_is_tried_again() -> None:
    retry, call = Retry(QUICK), Failing(gone(), ConnectionResetError())
    assert await retry(call) == "done"
    assert (call.calls, retry.retried) == (3, 2)


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        pytest.param(lambda: RuleError("no"), 1, id="a rule stays a rule"),
        pytest.param(lambda: KeyError("bug"), 1, id="a mistake stays a mistake"),
        pytest.param(lambda: LimitError("wait", retry_after=60), 1, id="who is asked to wait too long gives up"),
        pytest.param(gone, 3, id="attempts are bounded"),
    ],
)
async def test_the_last_error_comes_out_as_it_is(error: Callable[[], Exception], calls: int) -> None:
    call = Failing(*(error() for _ in range(5)))
    with pytest.raises(type(error())):
        await Retry(QUICK)(call)
    assert call.calls == calls


async def test_a_wait_that_is_asked_for_is_kept() -> None:
    began = time.monotonic()
    assert await Retry(Backoff(first_seconds=0, longest_seconds=1))(Failing(gone(retry_after=0.05))) == "done"
    assert time.monotonic() - began >= 0.048  # the loop counts in milliseconds


async def test_nobody_waits_past_the_deadline_of_his_request() -> None:
    loop = asyncio.get_running_loop()
    token = CURRENT.set(RequestContext(request_id="r", deadline=loop.time() + 5))
    try:
        call = Failing(gone(), gone())
        with pytest.raises(UnavailableError):
            await Retry(Backoff(first_seconds=60, longest_seconds=60))(call)
        assert call.calls == 1
    finally:
        CURRENT.reset(token)


async def test_another_idea_of_what_is_worth_it_can_be_given() -> None:
    retry = Retry(QUICK, when=lambda error: isinstance(error, KeyError))
    assert await retry(Failing(KeyError("x"))) == "done"
    with pytest.raises(UnavailableError):
        await retry(Failing(gone()))


@given(st.integers(1, 10_000), st.floats(0, 100), st.floats(0, 100))
def test_pauses_grow_up_to_their_bound(failures: int, first: float, longest: float) -> None:
    backoff = Backoff(first_seconds=first, longest_seconds=longest)
    assert 0 <= backoff.pause(failures) <= min(longest, first * 2.0 ** min(failures - 1, 60))


def test_no_attempt_is_no_policy() -> None:
    with pytest.raises(ValueError, match="at least one attempt"):
        Backoff(attempts=0)
