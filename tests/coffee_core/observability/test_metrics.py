"""Counting, and the text that Prometheus reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from coffee_core.observability.metrics import Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The text as a Prometheus server reads it."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_a_business_counter_takes_one_line() -> None:
    metrics = Metrics()
    imports = metrics.counter("imports_total", "Imports.", ("platform",))
    imports.add(3, "youtube")
    imports.add(1, "youtube")
    assert samples(metrics)["imports_total", (("platform", "youtube"),)] == 4


@given(st.lists(st.floats(min_value=0, max_value=1e6), max_size=50))
def test_a_histogram_counts_every_value_once_and_in_its_bucket(values: list[float]) -> None:
    metrics = Metrics()
    sizes = metrics.histogram("sizes", "Sizes.", (), (1, 10, 100))
    for value in values:
        sizes.observe(value)
    found = samples(metrics)
    for bound in (1, 10, 100):
        if values:
            assert found["sizes_bucket", (("le", str(float(bound))),)] == sum(value <= bound for value in values)
    if values:
        assert found["sizes_count", ()] == len(values)
        assert found["sizes_sum", ()] == pytest.approx(sum(values))


def test_a_gauge_is_asked_when_it_is_read() -> None:
    metrics = Metrics()
    values = [1.0]
    metrics.gauge("depth", "Depth.", lambda: values[0])
    values[0] = 5
    assert samples(metrics)["depth", ()] == 5


def test_too_many_label_values_are_counted_together() -> None:
    metrics = Metrics(series_max=3)
    counter = metrics.counter("seen_total", "Seen.", ("who",))
    for number in range(100):
        counter.add(1, str(number))
    assert len(counter.series) <= 4
    assert samples(metrics)["seen_total", (("who", "other"),)] == 97


def test_one_name_is_one_metric() -> None:
    metrics = Metrics()
    assert metrics.counter("a_total", "A.", ("x",)) is metrics.counter("a_total", "A.", ("x",))
    with pytest.raises(ValueError, match="a_total"):
        metrics.counter("a_total", "A.", ("y",))
    with pytest.raises(ValueError, match="a_total"):
        metrics.histogram("a_total", "A.")
    with pytest.raises(ValueError, match="a_total"):
        metrics.gauge("a_total", "A.", lambda: 0)


def test_labels_that_were_not_declared_are_an_error() -> None:
    with pytest.raises(ValueError, match="x"):
        Metrics().counter("a_total", "A.", ("x",)).add(1)


def test_two_registries_share_nothing() -> None:
    one, other = Metrics(), Metrics()
    one.counter("a_total", "A.").add()
    assert b"a_total" not in other.text()


def test_label_values_are_escaped() -> None:
    metrics = Metrics()
    metrics.counter("a_total", "A.", ("x",)).add(1, 'a"b\\c\nd')
    assert samples(metrics)["a_total", (("x", 'a"b\\c\nd'),)] == 1
