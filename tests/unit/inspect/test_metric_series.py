"""Series of metrics, made of samples."""

from datetime import UTC, datetime, timedelta

import pytest

from rota.inspect.metric_series import OTHER_TYPES, MetricSample, limited, merged, series, stored_samples
from rota.wire.minute import TypeCounts

START = datetime(2026, 11, 29, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SIZES = dict.fromkeys(("pending", "active", "scheduled", "retry", "archived", "completed", "aggregating"), 0)


def sample(minute: int, *, queue: str = "q", pending: int | None = None, **types: int) -> MetricSample:
    counts = {name: {"n": number, "succeeded": number, "r10": number} for name, number in types.items()}
    sizes = None if pending is None else {**SIZES, "pending": pending}
    elsewhere = None if pending is None else {"processed": 7, "failed": 1}
    return MetricSample(
        queue=queue, at=START + minute * MINUTE, counts=TypeCounts(counts, {}), sizes=sizes, elsewhere=elsewhere
    )


def test_points_have_no_gaps_and_merge_the_samples_of_their_step() -> None:
    samples = [sample(0, a=1), sample(1, a=2, b=3), sample(5, queue="other", a=4), sample(9, a=100)]
    found = series(samples, since=START, until=START + 8 * MINUTE, step=2 * MINUTE)
    assert [each.at for each in found.points] == [START + n * MINUTE for n in (0, 2, 4, 6)]
    assert [each.processed for each in found.points] == [6, 0, 4, 0]
    assert found.total.processed == 10
    assert found.total.run.count == 10
    assert {name: point.succeeded for name, point in found.types.items()} == {"a": 7, "b": 3}
    assert found.queues == ("other", "q")


def test_series_of_one_type_has_no_values_that_only_a_queue_has() -> None:
    found = series([sample(0, a=1, b=2, pending=9)], since=START, until=START + MINUTE, step=MINUTE, type="b")
    [point] = found.points
    assert (point.processed, point.sizes, point.elsewhere) == (2, None, None)
    assert list(found.types) == ["b"]


def test_sizes_are_the_largest_of_each_queue_added_up_and_others_processed_is_a_sum() -> None:
    samples = [sample(0, pending=5), sample(1, pending=3), sample(1, queue="other", pending=2)]
    [point] = series(samples, since=START, until=START + 2 * MINUTE, step=2 * MINUTE).points
    assert point.sizes == {**SIZES, "pending": 7}
    assert (point.elsewhere, point.elsewhere_failed) == (21, 3)


def test_what_was_not_sampled_is_not_known() -> None:
    [point] = series([sample(0, a=1)], since=START, until=START + MINUTE, step=MINUTE).points
    assert (point.sizes, point.elsewhere, point.oldest) == (None, None, None)
    assert point.wait.percentile(95) is None


def test_sample_is_the_same_after_the_way_through_json() -> None:
    whole = MetricSample(
        queue="q",
        at=START,
        counts=TypeCounts({"a": {"n": 1}}, {"n": 2}),
        sizes={**SIZES, "pending": 4},
        oldest_seconds=1.5,
        elsewhere={"processed": 0, "failed": 0},
    )
    again = MetricSample.from_json("q", START, whole.to_json())
    assert again == whole
    assert (again.counts, again.sizes, again.elsewhere) == (whole.counts, whole.sizes, whole.elsewhere)
    with pytest.raises(ValueError, match="unexpected"):
        MetricSample.from_json("q", START, {"unexpected": 1})
    with pytest.raises(ValueError, match="object"):
        MetricSample.from_json("q", START, [])


def test_types_beyond_the_limit_are_kept_together() -> None:
    found = limited(sample(0, a=1, b=5, c=3, d=2), 2)
    assert sorted(found.counts.by_type) == ["b", "c"]
    assert found.counts.others["n"] == 3
    total = series([found], since=START, until=START + MINUTE, step=MINUTE)
    assert total.total.processed == 11
    assert total.types[OTHER_TYPES].processed == 3


def test_merged_samples_of_a_queue_keep_every_run() -> None:
    found = merged([sample(0, a=1, pending=2), sample(1, a=2, b=1, pending=9)], "q", START)
    assert found.counts.by_type["a"] == {"n": 3, "succeeded": 3, "r10": 3}
    assert (found.sizes or {})["pending"] == 9


class Shelf:
    """A store with days, hours and minutes that follow each other."""

    async def metric_samples(
        self, step: str, *, since: datetime, until: datetime, queue: str | None = None
    ) -> list[MetricSample]:
        starts = {"day": [-1440], "hour": [-60, 0], "minute": [-30, 59, 60, 61]}[step]
        found = [sample(start, queue=step) for start in starts]
        return [each for each in found if since <= each.at < until]


async def test_finer_steps_follow_the_coarse_ones_that_are_over() -> None:
    since, until = START - timedelta(days=2), START + timedelta(days=1)
    found, end = await stored_samples(Shelf(), since=since, until=until, step=timedelta(days=1))
    assert [each.queue for each in found] == ["day", "hour", "minute", "minute"]
    assert end == START + 62 * MINUTE
    found, _ = await stored_samples(Shelf(), since=since, until=until, step=MINUTE)
    assert [each.queue for each in found] == ["minute"] * 4
