"""Percentiles of histograms."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.inspect.histogram import Histogram
from rota.wire import minute
from rota.wire.minute import BOUNDS

TIMES = st.lists(st.floats(1.001e-4, 8e4), min_size=1, max_size=200)


def of(values: list[float]) -> Histogram:
    words = minute.words("t", {}, [], list(values))
    counts = {str(name).partition(":")[0]: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}
    return Histogram.of(counts, "r")


@given(TIMES, st.sampled_from([50, 95, 99, 100]))
def test_percentile_is_in_the_bucket_of_the_exact_one(values: list[float], percent: int) -> None:
    exact = sorted(values)[-(-len(values) * percent // 100) - 1]
    found = of(values).percentile(percent)
    assert found is not None
    assert exact / 1.51 <= found.total_seconds() + 1e-6 <= exact * 1.51 + 2e-6


def test_histogram_without_times_has_no_percentile() -> None:
    assert Histogram().percentile(95) is None
    assert Histogram.of({"n": 3, "w1": 2}, "r") == Histogram()


def test_times_beyond_all_bounds_count_as_the_last_bound() -> None:
    assert of([1e9]).percentile(50) == timedelta(seconds=BOUNDS[-1])


def test_percentile_rises_with_the_share() -> None:
    some = of([0.001] * 90 + [0.1] * 9 + [5.0])
    p50, p95, p99 = (some.percentile(percent) for percent in (50, 95, 99))
    assert p50 is not None
    assert p95 is not None
    assert p99 is not None
    assert p50.total_seconds() == pytest.approx(0.001, rel=0.3)
    assert p95.total_seconds() == pytest.approx(0.1, rel=0.3)
    assert p50 < p95 <= p99
