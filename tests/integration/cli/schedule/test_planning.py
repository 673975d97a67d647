"""Times before they come: preview, description, simulation and forecast."""

import pytest

from tests.integration.cli.schedule.conftest import Run


def test_preview_notes_each_clock_change(rota: Run) -> None:
    shown = rota(
        "preview", "30 2 * * *", "--tz", "America/New_York", "--from", "2026-03-07T12:00-05:00", "-n", "2", "--json"
    )
    assert shown.json == [
        {"at": "2026-03-08T03:00:00-04:00", "fires": True, "note": "shifted"},
        {"at": "2026-03-09T02:30:00-04:00", "fires": True, "note": "normal"},
    ]
    printed = rota("preview", "30 2 * * *", "--tz", "America/New_York", "--from", "2026-03-07T12:00-05:00", "-n", "1")
    assert "so it fires right after; the clocks were set forward by 1h" in printed.out


def test_preview_of_several_specs_is_their_union(rota: Run) -> None:
    words = ("preview", "0 0 * * *", "0 */12 * * *", "--from", "2026-01-01T00:30Z", "-n", "3", "--json")
    assert [each["at"] for each in rota(*words).json] == [
        "2026-01-01T12:00:00Z",
        "2026-01-02T00:00:00Z",
        "2026-01-02T12:00:00Z",
    ]


def test_description_is_in_both_languages(rota: Run) -> None:
    assert rota("describe", "30 2 * * *").out == "at 02:30 every day\n"
    assert rota("describe", "30 2 * * *", "--lang", "zh").out == "每天 02:30\n"


def test_simulation_shows_the_fires_of_an_interval(rota: Run) -> None:
    rota("add", "a", "t", "--spec", "0 6 * * *")
    rota("add", "b", "t", "--spec", "0 */8 * * *")
    rota("add", "stopped", "t", "--spec", "@hourly", "--stopped")
    words = ("simulate", "--from", "2100-01-01T00:00Z", "--until", "2100-01-01T12:00Z")
    assert [(row["at"][11:16], row["schedule"]) for row in rota(*words, "--json").json] == [
        ("00:00", "b"),
        ("06:00", "a"),
        ("08:00", "b"),
    ]
    assert "3 fires from" in rota(*words).err


def test_forecast_finds_crowded_minutes_and_proposes_to_spread_them(rota: Run) -> None:
    for number in range(4):
        rota("add", f"s{number}", "t", "--spec", "0 3 * * *")
    rota("add", "spread", "t", "--spec", "H(1-59) 3 * * *")  # not in the crowded minute
    found = rota("forecast", "--limit", "3", "--days", "2", "--json").json
    assert [each["schedules"] for each in found["crowded"]] == [4, 4]
    assert len(found["proposals"]) == 4
    assert "write 'H 3 * * *' instead of '0 3 * * *'" in found["proposals"][0]
    assert "2 minutes with fires of more than 3 schedules" in rota("forecast", "--limit", "3", "--days", "2").out


def test_schedule_that_fires_every_few_seconds_crowds_no_minute_by_itself(rota: Run) -> None:
    rota("add", "often", "t", "--spec", "@every 5s")
    rota("add", "nightly", "t", "--spec", "0 3 * * *")
    assert rota("forecast", "--limit", "2", "--days", "1", "--json").json["crowded"] == []
    found = rota("forecast", "--limit", "1", "--days", "1", "--json").json
    assert [each["schedules"] for each in found["crowded"]] == [2]
    assert [each.partition(":")[0] for each in found["proposals"]] == ["nightly"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("preview", "0 0 31 2 *"), "never"),
        (("preview", "* * * * *", "--tz", "Nowhere"), "time zone"),
        (("simulate", "--from", "2100-01-02T00:00Z", "--until", "2100-01-01T00:00Z"), "is not after"),
        (("describe", "* * * * *", "--lang", "fr"), "fr"),
    ],
)
def test_mistake_is_refused(rota: Run, words: tuple[str, ...], said: str) -> None:
    refused = rota(*words)
    assert refused.code in (1, 2)
    assert said in refused.err.replace("\n", " ")


def test_interval_with_too_many_fires_is_refused(rota: Run) -> None:
    rota("add", "busy", "t", "--spec", "@every 1s")
    done = rota("simulate", "--from", "2100-01-01T00:00Z", "--until", "2100-02-01T00:00Z")
    assert done.code == 2
    assert "More than 200,000 fires" in done.err
    assert "Choose a shorter interval, or fewer schedules." in done.err


def test_forecast_counts_a_schedule_that_fires_every_two_seconds(rota: Run) -> None:
    rota("add", "busy", "t", "--spec", "@every 2s")
    days = rota("forecast", "--json").json["days"]
    assert list(days.values())[1:-1] == [43_200] * 6
    assert rota("forecast", "--tag", "none").code == 0
