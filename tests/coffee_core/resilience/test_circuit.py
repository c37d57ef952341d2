"""Who fails too often is left alone, tried with a few, and used again; processes tell each other."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.cache.redis_scripts import RedisScripts
from coffee_core.domain.errors import DeadlineError, LimitError, NotFoundError, UnavailableError
from coffee_core.resilience.breaker import BreakerPolicy, State
from coffee_core.resilience.circuit import BreakerOpenError, Circuit, broken
from coffee_core.resilience.shared_opening import RedisOpening
from tests.support.cable import Cable

POLICY = BreakerPolicy(window=10, requests=4, ratio=0.5, open=5, probes=2)


class Clock:
    """A time that stands still until told."""

    now = 1000.0


def a_circuit(shared: RedisOpening | None = None, name: str = "far") -> tuple[Circuit, Clock]:
    clock = Clock()
    return Circuit(name, POLICY, shared=shared, look_every=0.5, clock=clock), clock


async def answer() -> str:
    return "yes"


async def fail() -> str:
    raise UnavailableError("gone")


async def break_(circuit: Circuit) -> None:
    for _ in range(POLICY.requests):
        with pytest.raises(UnavailableError):
            await circuit.call(fail)


async def test_it_opens_refuses_tries_a_few_and_closes() -> None:
    circuit, clock = a_circuit()
    assert await circuit.call(answer) == "yes"
    await break_(circuit)
    assert circuit.state is State.OPEN
    with pytest.raises(BreakerOpenError, match="left alone") as refused:
        await circuit.call(answer)
    assert refused.value.retry_after == 5
    clock.now += 5
    assert await circuit.call(answer) == "yes"
    assert circuit.state is State.HALF_OPEN
    assert await circuit.call(answer) == "yes"
    assert circuit.state is State.CLOSED


async def test_the_first_probe_that_fails_opens_it_again() -> None:
    circuit, clock = a_circuit()
    await break_(circuit)
    clock.now += 5
    with pytest.raises(UnavailableError, match="gone"):
        await circuit.call(fail)
    with pytest.raises(BreakerOpenError):
        await circuit.call(answer)


async def test_no_more_probes_than_allowed_are_under_way_at_once() -> None:
    circuit, clock = a_circuit()
    await break_(circuit)
    clock.now += 5
    gate = asyncio.Event()

    async def slow() -> str:
        await gate.wait()
        return "yes"

    probes = [asyncio.ensure_future(circuit.call(slow)) for _ in range(5)]
    done, _ = await asyncio.wait(probes, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 3:
        more, _ = await asyncio.wait([each for each in probes if each not in done], return_when="FIRST_COMPLETED")
        done |= more
    assert all(isinstance(each.exception(), BreakerOpenError) for each in done)
    gate.set()
    assert sorted(str(each) for each in await asyncio.gather(*probes, return_exceptions=True))[-2:] == ["yes", "yes"]
    assert circuit.state is State.CLOSED


async def test_a_probe_that_is_cancelled_leaves_its_place_to_another() -> None:
    circuit, clock = a_circuit()
    await break_(circuit)
    clock.now += 5
    for _ in range(2 * POLICY.probes):
        waiting = asyncio.ensure_future(circuit.call(asyncio.Event().wait))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert await circuit.call(answer) == "yes"


async def test_failures_of_long_ago_say_nothing() -> None:
    circuit, clock = a_circuit()
    for _ in range(POLICY.requests - 1):
        with pytest.raises(UnavailableError):
            await circuit.call(fail)
    clock.now += 3600
    with pytest.raises(UnavailableError, match="gone"):
        await circuit.call(fail)
    assert circuit.state is State.CLOSED


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        pytest.param(lambda: UnavailableError("x"), True, id="gone"),
        pytest.param(lambda: DeadlineError("x"), True, id="too slow"),
        pytest.param(lambda: OSError("x"), True, id="no connection"),
        pytest.param(lambda: NotFoundError("x"), False, id="an answer"),
        pytest.param(lambda: LimitError("x"), False, id="this caller's rate"),
    ],
)
def test_an_answer_that_refuses_is_an_answer(error: Callable[[], Exception], counts: bool) -> None:
    assert broken(error()) is counts


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.5, 3.0, 6.0, 40.0])), max_size=60))
async def test_it_never_refuses_while_fewer_have_failed_than_the_policy_asks_for(
    calls: list[tuple[bool, float]],
) -> None:
    circuit, clock = a_circuit()
    failures: list[float] = []
    for fine, passed in calls:
        clock.now += passed
        try:
            await circuit.call(answer if fine else fail)
        except BreakerOpenError:
            recent = [each for each in failures if clock.now - each <= POLICY.window + POLICY.open]
            assert len(recent) >= 1  # a failed probe, at least
            assert len(failures) >= POLICY.requests * POLICY.ratio
        except UnavailableError:
            failures.append(clock.now)


async def test_what_opens_in_one_process_is_open_in_the_others_until_it_ends(scripts: RedisScripts) -> None:
    name = f"far-{uuid.uuid4().hex}"
    (one, _), (other, clock) = (a_circuit(RedisOpening(scripts), name) for _ in range(2))
    assert await other.call(answer) == "yes"
    await break_(one)
    clock.now += 1
    with pytest.raises(BreakerOpenError) as refused:
        await other.call(answer)
    assert refused.value.retry_after <= 5
    clock.now += 5
    assert await other.call(answer) == "yes"  # a probe
    assert await scripts.redis.pttl(f"breaker:{name}") <= 5000


async def test_without_redis_each_process_judges_for_itself(redis_url: str) -> None:
    async with Cable(redis_url) as cable:
        scripts = RedisScripts.open(cable.url, timeout=0.2, max_connections=2)
        circuit, _ = a_circuit(RedisOpening(scripts))
        await cable.cut()
        assert await circuit.call(answer) == "yes"
        await break_(circuit)
        assert circuit.state is State.OPEN
        await scripts.close()
