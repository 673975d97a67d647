"""The preview says at each row what a clock change or a day off makes of it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from rota.errors import OptionError, ScheduleError
from rota.schedule.preview import PreviewTime, preview
from rota.schedule.spec import parse_spec
from tests.unit.schedule.firing import minute

NEW_YORK = "America/New_York"
SPRING = datetime.fromisoformat("2026-03-07T12:00-05:00")
AUTUMN = datetime.fromisoformat("2026-10-31T12:00-04:00")


class Weekends:
    def is_off(self, day: date) -> bool:
        return day.weekday() >= 5


class Always:
    def is_off(self, day: date) -> bool:
        return True


def shown(rows: list[PreviewTime]) -> list[str]:
    return [_row(each) for each in rows]


def _row(row: PreviewTime) -> str:
    assert row.at.tzinfo is not None
    hours = row.clock_change / timedelta(hours=1)
    change = f" {hours:+g}h" if hours else ""
    return f"{minute(row.at, row.at.tzinfo)} {row.note}{change}"


def test_time_that_does_not_exist_is_shown_as_shifted_with_the_change_of_the_clock() -> None:
    assert shown(preview("30 2 * * *", 2, after=SPRING, timezone=NEW_YORK)) == [
        "2026-03-08T03:00-04:00 shifted +1h",
        "2026-03-09T02:30-04:00 normal",
    ]


def test_skipped_time_is_shown_and_does_not_count() -> None:
    rows = preview("30 2 * * *", 2, after=SPRING, timezone=NEW_YORK, skipped_hour="skip")
    assert shown(rows) == [
        "2026-03-08T03:00-04:00 skipped +1h",
        "2026-03-09T02:30-04:00 normal",
        "2026-03-10T02:30-04:00 normal",
    ]
    assert [row.fires for row in rows] == [False, True, True]


def test_time_that_fires_anyway_is_not_shown_as_skipped() -> None:
    rows = preview("0 2,3 * * *", 2, after=SPRING, timezone=NEW_YORK, skipped_hour="skip")
    assert shown(rows) == ["2026-03-08T03:00-04:00 normal +1h", "2026-03-09T02:00-04:00 normal"]


def test_asynq_dialect_shows_what_it_skips_and_repeats() -> None:
    rows = preview("30 2 * * *", 1, after=SPRING, timezone=NEW_YORK, dialect="asynq")
    assert shown(rows) == ["2026-03-08T03:00-04:00 skipped +1h", "2026-03-09T02:30-04:00 normal"]
    rows = preview("30 1 * * *", 2, after=AUTUMN, timezone=NEW_YORK, dialect="asynq")
    assert shown(rows) == ["2026-11-01T01:30-04:00 normal", "2026-11-01T01:30-05:00 repeated -1h"]
    assert len(preview("*/30 * * * *", 50, after=SPRING, timezone=NEW_YORK, dialect="asynq")) == 50


def test_merged_and_repeated_times_are_named() -> None:
    assert shown(preview("0 2,3 * * *", 1, after=SPRING, timezone=NEW_YORK)) == ["2026-03-08T03:00-04:00 merged +1h"]
    rows = preview("30 1 * * *", 2, after=AUTUMN, timezone=NEW_YORK, repeated_hour="twice")
    assert shown(rows) == ["2026-11-01T01:30-04:00 normal", "2026-11-01T01:30-05:00 repeated -1h"]


def test_specs_that_meet_at_the_end_of_a_gap_are_one_time() -> None:
    rows = preview(["30 2 * * *", "0 3 * * *"], 2, after=SPRING, timezone=NEW_YORK)
    assert shown(rows) == ["2026-03-08T03:00-04:00 merged +1h", "2026-03-09T02:30-04:00 normal"]
    rows = preview(["30 2 * * *", "every day at 03:00"], 2, after=SPRING, timezone=NEW_YORK, skipped_hour="skip")
    assert shown(rows) == ["2026-03-08T03:00-04:00 normal +1h", "2026-03-09T02:30-04:00 normal"]


def test_days_off_are_shown_and_do_not_count() -> None:
    after = datetime(2026, 11, 27, 12, tzinfo=UTC)
    rows = preview("every day at 09:00", 1, after=after, calendar=Weekends())
    assert shown(rows) == [
        "2026-11-28T09:00+00:00 day_off",
        "2026-11-29T09:00+00:00 day_off",
        "2026-11-30T09:00+00:00 normal",
    ]


def test_preview_ends_where_nothing_fires_any_more() -> None:
    after = datetime(2026, 11, 27, 12, tzinfo=UTC)
    assert len(preview("* * * * *", 5, after=after, calendar=Always())) == 1000
    assert len(preview("at 2026-12-24T18:00", 5, after=after)) == 1
    assert preview("at 2026-10-24T18:00", 5, after=after) == []


@pytest.mark.parametrize("text", ["@every 1h", "every 2h after end", "TZ=Asia/Tokyo 0 * * * *"])
def test_times_are_in_the_zone_of_the_schedule(text: str) -> None:
    rows = preview(text, 2, after=datetime(2026, 11, 27, 12, tzinfo=UTC), timezone="Asia/Tokyo")
    assert [str(row.at.tzinfo) for row in rows] == ["Asia/Tokyo", "Asia/Tokyo"]


def test_triggers_are_shown_with_their_own_options() -> None:
    trigger = parse_spec("30 2 * * *", timezone=NEW_YORK, skipped_hour="skip")
    assert [row.note for row in preview(trigger, 1, after=SPRING)] == ["skipped", "normal"]


@pytest.mark.parametrize(
    ("spec", "options", "reason"),
    [
        ("@daily", {"count": 0}, "1 to 1000"),
        ("@daily", {"count": 1001}, "1 to 1000"),
        ([], {}, "no spec"),
        ("@daily", {"timezone": "Asia/Shangai"}, "Did you mean"),
        ("@dayly", {}, "Did you mean"),
    ],
)
def test_wrong_questions_are_refused(spec: Any, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        preview(spec, after=SPRING, **options)


def test_refused_text_names_its_position() -> None:
    with pytest.raises(ScheduleError) as caught:
        preview("60 * * * *", after=SPRING)
    assert caught.value.position == 0
