"""The chart of `rota metrics`: bars that fit the terminal, and units that fit the values."""

from datetime import UTC, datetime, timedelta

import pytest

from rota.cli import metrics_chart
from rota.inspect.histogram import Histogram
from rota.inspect.metric_series import MetricPoint, MetricSample, series
from rota.wire.minute import TypeCounts

START = datetime(2026, 11, 29, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def points(number: int) -> list[MetricPoint]:
    return [
        MetricPoint(at=START + n * MINUTE, succeeded=n, run=Histogram({n % 5: 1}), sizes={"pending": n})
        for n in range(number)
    ]


@pytest.mark.parametrize("width", [54, 160])
def test_neighbours_are_merged_until_the_points_fit(width: int) -> None:
    fitted, step = metrics_chart.fitted(points(600), width, MINUTE)
    assert len(fitted) <= width
    assert len(fitted) > width // 2
    assert sum(each.succeeded for each in fitted) == sum(range(600))
    assert sum(each.run.count for each in fitted) == 600
    assert (fitted[0].sizes or {})["pending"] == step // MINUTE - 1


def test_points_that_fit_stay_as_they_are() -> None:
    some = points(10)
    assert metrics_chart.fitted(some, 54, MINUTE) == (some, MINUTE)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.00004, "40 µs"),
        (0.0012, "1.2 ms"),
        (0.25, "250 ms"),
        (12.3, "12 s"),
        (150, "2.5 m"),
        (90_000, "1.0 d"),
        (0, "0"),
    ],
)
def test_times_have_two_digits_in_the_unit_that_fits(seconds: float, shown: str) -> None:
    assert metrics_chart.duration(timedelta(seconds=seconds)) == shown


@pytest.mark.parametrize("columns", [80, 200])
def test_lines_fit_the_terminal_and_say_what_is_not_known(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    counts = TypeCounts(
        {"mail:send": {"n": 9, "succeeded": 8, "retried": 1, "r12": 9, "w3": 9, "crashed": 2}}, {"n": 1}
    )
    samples = [
        MetricSample(
            queue="default",
            at=START + n * MINUTE,
            counts=counts,
            sizes={"pending": 4},
            elsewhere={"processed": 5, "failed": 0},
        )
        for n in range(60)
    ]
    found = series(samples, since=START, until=START + 60 * MINUTE, step=MINUTE)
    metrics_chart.show(found, queue=None, type=None)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= columns
    assert "540 processed, 60 failed (11 %), of them 0 for good\n0 cancelled, 120 crashed" in out
    assert "300 processed by Go servers or others: types and times are not known" in out
    assert "mail:send" in out
    assert "(other types)" in out
    assert ("18/2m" if columns == 80 else "9/m") in out  # two points in each column, or one
    lines = {line.partition(" ")[0]: line for line in out.splitlines()}
    assert {"processed", "failed", "crashed", "pending", "wait:", "run:"} <= set(lines)
