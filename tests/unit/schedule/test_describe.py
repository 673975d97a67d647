"""Descriptions of schedules in words: a table of them, and what holds for all expressions."""

import re
from collections import defaultdict
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.errors import OptionError, ScheduleError
from rota.schedule.cron import CronExpression
from rota.schedule.describe import describe
from rota.schedule.phrases import CHINESE, ENGLISH, LANGUAGES
from rota.schedule.spec import parse_spec
from rota.schedule.trigger import Trigger, WallTrigger, union

TABLE = [line.split(" | ") for line in (Path(__file__).with_name("descriptions.txt")).read_text("utf-8").splitlines()]


@pytest.mark.parametrize(("spec", "english", "chinese"), TABLE, ids=[row[0] for row in TABLE])
def test_each_form_has_its_words(spec: str, english: str, chinese: str) -> None:
    assert describe(spec) == english
    assert describe(spec, "zh") == chinese


def test_the_table_has_every_form_of_the_dialect() -> None:
    specs = [row[0] for row in TABLE]

    assert len(specs) >= 110
    for mark in ("*/7", "L-3W", "LW", "15W", "#2", "FRIL", "H(0-29)/10", "?", "fri-mon", "@every", "@daily", "TZ="):
        assert any(mark in spec for spec in specs), mark


@pytest.mark.parametrize("language", ["zh", "zh-CN", "zh_Hans_CN", "ZH"])
def test_a_language_may_have_a_region(language: str) -> None:
    assert describe("30 2 * * *", language) == "每天 02:30"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(OptionError, match=r"There is no description in 'klingon'\. Known: en, zh\."):
        describe("30 2 * * *", "klingon")


def test_a_text_that_is_refused_has_no_description() -> None:
    with pytest.raises(ScheduleError, match="minute 61 is outside"):
        describe("61 * * * *")


def test_several_specs_are_said_as_their_union() -> None:
    assert describe(["30 2 * * *", "0 9 * * mon", "30 02 * * *"]) == "at 02:30 every day; and at 09:00 every Monday"
    assert describe(["30 2 * * *", "0 9 * * mon"], "zh") == "每天 02:30；以及每周一 09:00"


def test_a_trigger_is_described_like_its_text() -> None:
    texts = ["30 2 * * *", "TZ=UTC 0 9 * * mon", "every 10m from 22:00 to 06:00"]
    triggers = [parse_spec(text, timezone="UTC") for text in texts]

    assert [describe(trigger) for trigger in triggers] == [describe(text) for text in texts]
    assert describe(union(triggers)) == describe(texts)


def test_a_trigger_of_a_user_has_no_description() -> None:
    class Own(Trigger):
        text = "own"

        def _occurrence(self, after: datetime) -> None:
            return None

        def _previous(self, before: datetime) -> None:
            return None

    with pytest.raises(OptionError, match="Own has no description"):
        describe(Own())


def test_h_has_its_value_once_the_id_is_known() -> None:
    trigger = parse_spec("H 2 * * *", timezone="UTC", seed="schedule-1")
    at = trigger.next(datetime(2026, 1, 1, tzinfo=UTC))
    assert at is not None

    assert describe("H 2 * * *", seed="schedule-1") == f"at {at:%H:%M} every day"
    assert describe(trigger) == f"at {at:%H:%M} every day"


def test_asynq_s_dialect_is_described_too() -> None:
    assert describe("*-5 2 * * 1-5/2", dialect="asynq") == (
        "every minute from 02:00 to 02:59, every Monday, Wednesday and Friday"
    )
    assert describe("@every 90s", dialect="asynq") == "every 1 minute 30 seconds"


# --- what holds for all expressions ---

TIMES = ["*", "0", "7", "*/7", "*/15", "3-20", "3-20/4", "5,6,7,30", "50-10", "2/5", "H", "0,30"]
HOURS = ["*", "0", "2", "*/5", "*/2", "9-17", "9,12,15", "22-2", "1/3", "H"]
DAYS = ["*", "?", "1", "1-31", "*/2", "1,15", "L", "L-3", "LW", "15W", "13,L", "H", "28-3"]
MONTHS = ["*", "1", "jan-mar", "*/3", "2,4,6", "nov-feb", "H"]
WEEKDAYS = ["*", "?", "1", "mon-fri", "sat,sun", "fri-mon", "0-6", "*/2", "MON#2", "FRIL", "1,fri#3", "7", "H"]
expressions = st.builds(
    " ".join,
    st.tuples(*map(st.sampled_from, (TIMES, HOURS, DAYS, MONTHS, WEEKDAYS)))
    | st.tuples(*map(st.sampled_from, (TIMES, TIMES, HOURS, DAYS, MONTHS, WEEKDAYS))),
)


def rule_of(spec: str) -> CronExpression | None:
    """The rule of an expression; None if it never fires."""
    try:
        trigger = parse_spec(spec, timezone="UTC", seed="seed")
    except ScheduleError:
        return None
    assert isinstance(trigger, WallTrigger)
    assert isinstance(trigger.rule, CronExpression)
    return trigger.rule


def days_of(rule: CronExpression) -> tuple[tuple[int, int, int], ...]:
    """The days of some years."""
    return tuple((y, m, rule.days(y, m)) for y in (2023, 2024, 2026) for m in range(1, 13) if rule.months >> m & 1)


# Each pair of a list is compared: few long lists have as many pairs as many short ones, and take half of the time.
@settings(deadline=None, max_examples=80)
@given(st.lists(expressions, min_size=50, max_size=100, unique=True))
def test_expressions_with_the_same_words_fire_at_the_same_times(specs: list[str]) -> None:
    meanings = defaultdict(set)
    for spec in specs:
        if (rule := rule_of(spec)) is not None:
            meaning = (rule.seconds, rule.minutes, rule.hours, days_of(rule))
            meanings[describe(spec, seed="seed")].add(meaning)
            meanings[describe(spec, "zh", seed="seed")].add(meaning)

    assert [words for words, found in meanings.items() if len(found) > 1] == []


@settings(deadline=None, max_examples=300)
@given(expressions)
def test_each_restricted_field_is_mentioned(spec: str) -> None:
    rule = rule_of(spec)
    if rule is None:
        return
    text = describe(spec, seed="seed")

    days = days_of(rule)
    every_month = len({month for _, month, _ in days}) == 12
    every_day = every_month and days == days_of(CronExpression.parse("* * * * *"))
    assert every_day or re.search(r"day|week", text.replace("every day", "") if every_month else text)
    assert every_month or any(month in text for month in ENGLISH.months)
    if rule.hours != 2**24 - 1:
        assert re.search(r"\d\d:\d\d|hours? \d", text)
    if rule.minutes != 2**60 - 1:
        assert re.search(r"\d\d:\d\d|minutes? \d|every \d+ minutes|on the hour", text)
    if rule.has_seconds and rule.seconds not in (1, 2**60 - 1):
        assert re.search(r"\d\d:\d\d:\d\d|seconds? \d|every \d+ seconds", text)


@given(st.text(max_size=40))
def test_any_text_is_refused_or_described(text: str) -> None:
    try:
        parse_spec(text, timezone="UTC")
    except ScheduleError:
        return
    assert describe(text)
    assert describe(text, "zh")


@pytest.mark.parametrize("phrase", [field.name for field in fields(ENGLISH)])
def test_the_languages_have_the_same_phrases_with_the_same_placeholders(phrase: str) -> None:
    placeholders = [_placeholders(getattr(words, phrase)) for words in LANGUAGES.values()]

    assert all(each == placeholders[0] for each in placeholders[1:])


def test_chinese_has_no_english_words() -> None:
    letters = {
        word for field in fields(CHINESE) for word in re.findall("[A-Za-z]+", _own(getattr(CHINESE, field.name)))
    }

    assert letters == {"H", "ID"}


def _own(value: object) -> str:
    """The text of a phrase or of a table of phrases, without the named placeholders."""
    if isinstance(value, dict):
        return _own(tuple(value.values()))
    if isinstance(value, tuple):
        return " ".join(map(_own, value))
    return "".join(text for text, *_ in Formatter().parse(value)) if isinstance(value, str) else ""


def _placeholders(value: object) -> object:
    """The named placeholders of a phrase or of a table of phrases."""
    if isinstance(value, str):
        return {name for _, name, _, _ in Formatter().parse(value) if name}
    if isinstance(value, dict):
        return {key: _placeholders(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return len(value), set().union(*(_placeholders(item) for item in value))  # type: ignore[arg-type]
    return type(value)
