"""Counts by the minute: buckets of times, and hashes that are read again."""

import random
from bisect import bisect_left
from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from rota.wire import minute
from rota.wire.minute import BOUNDS


@given(st.lists(st.floats(0, 2e5, allow_nan=False), max_size=60))
def test_each_value_is_in_the_first_bucket_whose_bound_it_does_not_exceed(values: list[float]) -> None:
    expected = Counter(f"r{bisect_left(BOUNDS, value)}:t" for value in values)
    found = minute.words("t", {}, [-1.0, -5.0], list(values))
    assert dict(zip(found[2::2], found[3::2], strict=True)) == expected
    assert found[:2] == ["n:t", 0]


def test_bounds_reach_from_a_tenth_of_a_millisecond_to_a_day() -> None:
    assert BOUNDS[0] == 1e-4
    assert 86_400 < BOUNDS[-1] < 2 * 86_400
    assert all(1.49 < upper / lower < 1.51 for lower, upper in pairwise(BOUNDS))


def test_hash_is_read_by_type_and_what_is_no_count_is_left_out() -> None:
    fields = [b"types", b"2", b"n:a:b", b"3", b"w7:a:b", b"2", b"succeeded:a:b", b"3", b"n:", b"1", b"failed:", b"1"]
    others = [b"n", b"4", b"r52", b"4", b"r53", b"1", b"x:a:b", b"1", b"retried:a:b", b"many"]
    found = minute.read([*fields, *others])
    assert found.by_type == {"a:b": {"n": 3, "w7": 2, "succeeded": 3}, "": {"n": 1, "failed": 1}}
    assert found.others == {"n": 4, "r52": 4}


def test_processed_elsewhere_is_what_asynqs_counters_have_beyond_ours() -> None:
    counts = minute.TypeCounts({"a": {"succeeded": 5, "retried": 2, "crashed": 9}}, {"failed": 1, "cancelled": 1})
    assert minute.Totals(counts, 12, 4, {"processed": 0, "failed": 0}).elsewhere() == {"processed": 3, "failed": 1}
    assert minute.Totals(counts, 12, 4, {"processed": 2, "failed": 1}).elsewhere() == {"processed": 1, "failed": 0}
    assert minute.Totals(counts, 2, 0, {}).elsewhere() == {"processed": 0, "failed": 0}  # the counters were reset


def test_type_of_a_minute_without_counts_in_the_total_belongs_to_the_others() -> None:
    total = minute.TypeCounts({f"t{number}": {"n": 1} for number in range(minute.MOST_TYPES)}, {"n": 5})
    found = minute.with_minute(total, {"t7": {"n": 2, "failed": 2}, "late": {"n": 3}})
    assert found == minute.TypeCounts({**total.by_type, "t7": {"n": 3, "failed": 2}}, {"n": 8})
    assert total.by_type["t7"] == {"n": 1}


def test_sums_are_by_name() -> None:
    parts = [{"n": 1, "w3": 1}, {"n": 2}, {}]
    random.shuffle(parts)
    assert minute.added(parts) == {"n": 3, "w3": 1}
