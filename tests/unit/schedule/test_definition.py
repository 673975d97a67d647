"""The definition of a schedule: what it refuses, in which words, and that its short form reads back the same."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.errors import ConfigError, ScheduleInvalid
from rota.schedule.definition import FIELDS, ScheduleDefinition
from rota.schedule.keywords import ScheduleKeywords
from scripts.tree import ROOT

NIGHTLY = {"name": "backup", "task_type": "backup:run", "specs": ["30 2 * * *"], "timezone": "Europe/Berlin"}


def problems(**changes: Any) -> dict[str, str]:
    """The problems of the nightly schedule with these changes, by their path."""
    with pytest.raises(ScheduleInvalid) as caught:
        ScheduleDefinition.read({**NIGHTLY, **changes})
    return dict(caught.value.problems)


def test_short_form_holds_only_what_was_given() -> None:
    assert ScheduleDefinition.read(NIGHTLY).to_mapping() == NIGHTLY


def test_definition_has_the_documented_defaults() -> None:
    definition = ScheduleDefinition.read(NIGHTLY)

    assert (definition.kind, definition.missed, definition.overlap) == ("periodic", "once", "skip")
    assert (definition.skipped_hour, definition.repeated_hour, definition.on_day_off) == ("after", "once", "skip")
    assert definition.enabled
    assert definition.max_retry is None


def test_words_in_code_and_a_mapping_give_the_same_definition() -> None:
    in_code = ScheduleDefinition(
        name="digest",
        task_type="email:digest",
        specs="@every 10m",
        timeout=timedelta(seconds=90),
        starts_at=datetime(2026, 3, 1, 8, tzinfo=UTC),
        then={"schedule": "report"},
        auto_pause=3,
    )

    assert in_code == ScheduleDefinition.read(
        {
            "name": "digest",
            "task_type": "email:digest",
            "specs": ["@every 10m"],
            "timeout": "1m30s",
            "starts_at": "2026-03-01T09:00:00+01:00",
            "then": [{"on": "success", "schedule": "report"}],
            "auto_pause": {"failures": 3},
        }
    )


def test_all_problems_are_reported_at_once_at_their_paths() -> None:
    found = problems(
        task_type=None,
        timeout=30,
        missed="al",
        max_retry=-1,
        then=[{"schedul": "x"}],
        fan_out=3,
        group="g",
        enabled="yes",
    )

    assert set(found) == {"task_type", "timeout", "missed", "max_retry", "then.0.schedul", "fan_out", "enabled"}


def test_message_names_the_schedule_and_lists_its_problems() -> None:
    with pytest.raises(ConfigError, match=r"The schedule 'backup' has 2 problems:\n- max_runs is 0.*\n- tags"):
        ScheduleDefinition.read({**NIGHTLY, "max_runs": 0, "tags": [7]})


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("task_typ", "x", "There is no field 'task_typ'. Did you mean 'task_type'?"),
        ("missed", "al", "missed is 'al'. Did you mean 'all'? It must be one of: once, skip, all."),
        ("timeout", 30, "timeout is 30, which has no unit: write '30s' for seconds."),
        ("timeout", "30", "a string needs a unit"),
        ("timeout", "0s", "must be at least 1s"),
        ("retention", "1m", "retention is 1m, but must be at least 10m"),
        ("timezone", "Berlin", "Did you mean 'Europe/Berlin'?"),
        ("timezone", "america", "which is not a time zone"),
        ("timezone", "localtime", "which is not a time zone"),
        ("timezone", "right/UTC", "which is not a time zone"),
        ("timezone", "../etc/passwd", "which is not a time zone"),
        ("starts_at", "2026-03-01T09:00", "has no time zone: add one"),
        ("starts_at", 1767225600, "must be a date with a time and a zone"),
        ("ends_at", "tomorrow", "which is not a date with a time"),
        ("enabled", "yes", "must be true or false"),
        ("max_runs", True, "must be a whole number from 1"),
        ("fan_out", 1, "must be a whole number from 2 to 1000"),
        ("payload", [1], "must be a JSON object"),
        (
            "payload",
            {"at": datetime(2026, 1, 1)},
            "payload.at is datetime.datetime(2026, 1, 1, 0, 0), which JSON cannot",
        ),
        ("payload", {"share": float("nan")}, "payload.share is nan, which JSON cannot express"),
        ("payload", {7: "x"}, "the keys of a JSON object are texts"),
        ("starts_at", "0001-01-01T00:00:00Z", "in the years 1970 to 9000"),  # Go's zero time
        ("ends_at", "9999-12-31T23:59:59Z", "leave it out for no limit"),
        ("missed_limit", 1001, "from 1 to 1000"),
        ("overlap_limit", 1001, "from 1 to 1000"),
        ("tags", ["a\nb"], "must be one line"),
        ("headers", {"a": "\ud800"}, "cannot be written as UTF-8"),
        ("headers", {"X": 1}, "headers travel as texts"),
        ("name", " backup", "without white space at its ends"),
        ("name", "two\nlines", "must be one line"),
        ("name", "", "name is blank"),
        ("name", "n" * 201, "name has 201 characters"),
        ("queue", "}x", "would spread over a Cluster"),
        ("remark", "a\0b", "which databases refuse"),
        ("specs", [], "specs is missing: write when the schedule fires"),
        ("specs", [7], "specs is 7, but must be a text"),
        ("auto_pause", {"failures": 0}, "failures is 0"),
        ("auto_pause", {"failures": 2, "probe": "1m"}, "Did you mean 'probe_after'?"),
    ],
)
def test_wrong_value_is_refused_in_words(field: str, value: Any, words: str) -> None:
    found = problems(**{field: value})

    assert words in " ".join(found.values())
    assert all(path.split(".")[0] == field for path in found)


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"process_in": "10m"}, "process_in", "A periodic schedule fires at its specs, so process_in has no effect"),
        ({"kind": "once"}, "specs", "leave specs out, or change kind"),
        ({"kind": "once", "specs": None}, "process_at", "process_at is missing"),
        (
            {"kind": "once", "specs": None, "process_in": "1m", "process_at": "2026-01-01T00:00Z"},
            "process_in",
            "both say when",
        ),
        (
            {"kind": "once", "specs": None, "process_in": "1m", "missed": "all"},
            "missed",
            "has one planned time",
        ),
        ({"specs": ["@daily", "61 * * * *"]}, "specs.1", "61"),
        ({"specs": ["0 0 30 2 *"]}, "specs.0", "never"),
        ({"specs": ["every 10m after end", "@daily"]}, "specs", "give this schedule one spec"),
        (
            {"specs": "every 10m after end", "calendar": "c", "on_day_off": "next_working_day"},
            "on_day_off",
            "cannot move a delay",
        ),
        ({"payload": {"a": ["{{plannedat}}"]}}, "payload.a.0", "Did you mean 'planned_at'?"),
        ({"then": {"task_type": "x", "payload": {"a": "{{b}}"}}}, "then.0.payload.a", "is not a variable"),
        ({"kind": "wait"}, "specs", "A schedule of the kind 'wait' runs only on demand"),
        ({"kind": "wait", "specs": None, "start_deadline": "1m"}, "start_deadline", "runs only on demand"),
        ({"missed_limit": 5}, "missed_limit", "no effect while missed is 'once'"),
        ({"overlap_limit": 5}, "overlap_limit", "no effect while overlap is 'skip'"),
        ({"missed": "skip", "start_deadline": "5m"}, "start_deadline", "a missed time never runs"),
        ({"on_day_off": "next_working_day"}, "on_day_off", "without a calendar"),
        ({"starts_at": "2026-02-01T00:00Z", "ends_at": "2026-01-01T00:00Z"}, "ends_at", "is before starts_at"),
        ({"fan_out": 2, "group": "g"}, "fan_out", "joins tasks into one"),
        ({"fan_out": 2, "payload": {"shard": 1}}, "fan_out", "payload has the key 'shard'"),
        ({"then": {"on": "always"}}, "then.0", "either schedule (its name) or task_type"),
        ({"then": {"schedule": "x", "queue": "q"}}, "then.0", "which has its own payload and queue"),
        ({"then": {"schedule": "backup"}}, "then.0", "which is this schedule"),
    ],
)
def test_conflict_is_refused_at_the_field_to_change(changes: dict[str, Any], path: str, words: str) -> None:
    assert words in problems(**changes)[path]


def nested(levels: int) -> list[Any]:
    """Lists in lists."""
    made: list[Any] = []
    for _ in range(levels):
        made = [made]
    return made


@pytest.mark.parametrize("field", ["name", "headers", "then", "auto_pause", "max_runs", "timeout", "starts_at"])
@pytest.mark.parametrize("value", [nested(100_000), 10**5000], ids=["nested", "many digits"])
def test_value_without_a_repr_is_refused(field: str, value: Any) -> None:
    assert any("is too large to show" in text for text in problems(**{field: value}).values())


def test_object_without_a_repr_is_not_a_schedule() -> None:
    with pytest.raises(ScheduleInvalid, match="too large to show is not a schedule"):
        ScheduleDefinition.read(nested(100_000))  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["jitter", "deadline", "timeout", "start_deadline"])
def test_duration_whose_end_no_clock_reaches_is_refused(field: str) -> None:
    assert "a hundred years at most" in problems(**{field: "900000000d"})[field]


@pytest.mark.parametrize("field", ["specs", "tags", "then"])
def test_list_has_a_bounded_number_of_items(field: str) -> None:
    item: Any = {"task_type": "a:b"} if field == "then" else "@daily"

    assert "may have 100" in problems(**{field: [item] * 101})[field]
    assert len(getattr(ScheduleDefinition.read({**NIGHTLY, field: [item] * 100}), field)) == 100


def test_only_some_of_many_unknown_variables_are_reported() -> None:
    assert len(problems(payload={"a": ["{{user}}"] * 1000})) == 20


def test_conflict_with_a_field_that_is_wrong_itself_is_not_reported() -> None:
    assert set(problems(missed="al", missed_limit=3)) == {"missed"}


def test_default_value_that_a_form_sends_is_not_a_conflict() -> None:
    definition = ScheduleDefinition.read(
        {
            "name": "ask",
            "task_type": "report:make",
            "kind": "wait",
            "missed": "once",
            "skipped_hour": "after",
            "specs": [],
        }
    )

    assert definition.to_mapping() == {"name": "ask", "kind": "wait", "task_type": "report:make", "timezone": "UTC"}


def test_something_else_than_an_object_is_refused() -> None:
    with pytest.raises(ScheduleInvalid, match="is not a schedule: write an object"):
        ScheduleDefinition.read("30 2 * * *")  # type: ignore[arg-type]  # what a wrong file gives


def test_default_zone_is_kept_where_the_mapping_is_read_again() -> None:
    given = {name: value for name, value in NIGHTLY.items() if name != "timezone"}

    written = ScheduleDefinition.read(given, timezone="Asia/Shanghai").to_mapping()

    assert ScheduleDefinition.read(written, timezone="Europe/Paris").timezone == "Asia/Shanghai"


def test_patch_replaces_fields_and_resets_those_that_are_none() -> None:
    paused = ScheduleDefinition.read({**NIGHTLY, "remark": "old", "enabled": False})

    patched = paused.patched({"enabled": True, "remark": None, "specs": "@daily"})

    assert patched == ScheduleDefinition.read({**NIGHTLY, "specs": ["@daily"]})


def test_patch_that_makes_a_conflict_is_refused() -> None:
    with pytest.raises(ScheduleInvalid, match="has no effect"):
        ScheduleDefinition.read(NIGHTLY).patched({"kind": "wait"})


def test_delay_becomes_a_moment_when_the_schedule_is_saved() -> None:
    once = ScheduleDefinition(name="remind", kind="once", task_type="email:remind", process_in="10m")

    settled = once.settled(datetime(2026, 1, 1, tzinfo=UTC))

    assert (settled.process_in, settled.process_at) == (None, datetime(2026, 1, 1, 0, 10, tzinfo=UTC))
    assert settled.settled(datetime(2027, 1, 1, tzinfo=UTC)) == settled


def test_limits_follow_from_the_policies() -> None:
    def limits(**words: Any) -> tuple[int, int]:
        definition = ScheduleDefinition.read({**NIGHTLY, **words})
        return definition.most_missed, definition.most_waiting

    assert limits() == (1, 0)
    assert limits(missed="skip", overlap="queue_one") == (0, 1)
    assert limits(missed="all", overlap="queue_all") == (100, 100)
    assert limits(missed="all", missed_limit=7, overlap="queue_all", overlap_limit=3) == (7, 3)


def test_each_field_is_on_the_page_of_schedules() -> None:
    page = (ROOT / "docs" / "schedules.md").read_text(encoding="utf-8").partition("## The fields")[2]
    missing = [field for field in FIELDS if f"`{field}`" not in page.partition("\n## ")[0]]

    assert not missing, f"docs/schedules.md, 'The fields', has no line for these: {missing}"


def test_keywords_for_type_checkers_are_the_fields() -> None:
    different = sorted(set(ScheduleKeywords.__annotations__) ^ set(FIELDS))
    assert not different, f"ScheduleKeywords (rota/schedule/keywords.py) and the fields have to agree: {different}"


def test_definition_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        ScheduleDefinition.read(NIGHTLY).enabled = False


LENGTHS = st.integers(600, 10**7).map(lambda seconds: timedelta(seconds=seconds))
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
DEFINITIONS = st.fixed_dictionaries(
    {"name": WORDS, "task_type": WORDS, "specs": st.just(["0 9 * * *"])},
    optional={
        "payload": st.dictionaries(WORDS, JSON, max_size=3),
        "timeout": LENGTHS,
        "jitter": LENGTHS,
        "retention": LENGTHS,
        "starts_at": MOMENTS,
        "pause_until": MOMENTS,
        "headers": st.dictionaries(WORDS, WORDS, max_size=2),
        "tags": st.lists(WORDS, max_size=3),
        "overlap": st.sampled_from(["skip", "allow", "queue_one", "queue_all", "replace"]),
        "enabled": st.booleans(),
        "max_runs": st.integers(1, 100),
        "auto_pause": st.integers(1, 9),
    },
)


@settings(deadline=None)
@given(DEFINITIONS)
def test_short_form_reads_back_as_an_equal_definition(words: dict[str, Any]) -> None:
    definition = ScheduleDefinition(**words)

    written = json.loads(json.dumps(definition.to_mapping()))

    assert ScheduleDefinition.read(written) == definition
    assert ScheduleDefinition.read(written).to_mapping() == written
