"""Specs that are written with methods."""

import copy
import pickle
from datetime import UTC, datetime, time, timedelta

import pytest

from rota.cron.spec_builder import every
from rota.errors import OptionError, ScheduleError
from rota.schedule.definition import ScheduleDefinition
from rota.schedule.spec import parse_spec


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (every("10m"), "every 10m"),
        (every(timedelta(hours=3)), "every 3h"),
        (every(30).seconds, "every 30 seconds"),
        (every(1).second, "every 1 second"),
        (every(5).minutes, "every 5 minutes"),
        (every().minute, "every 1 minute"),
        (every(3).hours, "every 3 hours"),
        (every().hour, "every 1 hour"),
        (every().day.at("04:30"), "every 1 day at 04:30"),
        (every(3).days.at(time(6), time(18, 0, 5)), "every 3 days at 06:00,18:00:05"),
        (every(timedelta(days=1)).at("04:30"), "every 1 days at 04:30"),
        (every("2w").at("04:30", tz="UTC"), "TZ=UTC every 14 days at 04:30"),
        (every().week.on("mon", "thu").at("09:00"), "every 1 week on mon,thu at 09:00"),
        (
            every(2).weeks.on("mon").at("09:00", tz="Europe/Berlin"),
            "TZ=Europe/Berlin every 2 weeks on mon at 09:00",
        ),
        (every().month.on(1, "last").at("08:00"), "every 1 month on 1,last at 08:00"),
        (every(2).months.on("mon#2").at("08:00"), "every 2 months on mon#2 at 08:00"),
        (every("10m").after_end, "every 10m after end"),
        (every("5m").between("09:30", time(17, 45)), "every 5m from 09:30 to 17:45"),
        (
            every("5m").between("09:30", "17:45", tz="Asia/Shanghai").on("mon-fri"),
            "TZ=Asia/Shanghai every 5m from 09:30 to 17:45 on mon-fri",
        ),
    ],
)
def test_methods_write_a_spec_that_can_be_read(spec: str, text: str) -> None:
    assert spec == text
    assert parse_spec(spec, timezone="UTC").next(datetime(2026, 1, 1, tzinfo=UTC)) is not None


def test_a_spec_that_is_not_complete_is_refused_where_it_is_given() -> None:
    with pytest.raises(ScheduleError, match="'on' and a day are missing"):
        parse_spec(every(2).weeks, timezone="UTC")


def test_the_result_is_a_text_for_a_definition_too() -> None:
    definition = ScheduleDefinition(name="x", task_type="x", specs=[every(2).weeks.on("mon").at("09:00")])

    assert definition.to_mapping()["specs"] == ["every 2 weeks on mon at 09:00"]


def test_a_copy_goes_on_like_the_original() -> None:
    spec = every("1d").at("09:00", tz="UTC")

    assert pickle.loads(pickle.dumps(spec)) == spec
    assert copy.deepcopy(every("1d")).at("10:00") == "every 1 days at 10:00"


@pytest.mark.parametrize("interval", [2.5, True, "soon", "-1m"])
def test_what_is_neither_a_count_nor_a_duration_is_refused(interval: object) -> None:
    with pytest.raises(OptionError):
        every(interval)  # type: ignore[arg-type]
