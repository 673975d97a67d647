"""Calendars of public holidays."""

import sys
from datetime import date
from types import SimpleNamespace

import pytest

from rota.errors import ConfigError, OptionError
from rota.schedule.public_holidays import public_holidays


def test_china_has_holidays_weekends_and_make_up_days() -> None:
    calendar = public_holidays("CN", [2025], language="zh-cn")

    assert calendar.name == "CN"
    assert calendar.is_off(date(2025, 10, 1))
    assert "国庆节" in calendar.reason(date(2025, 10, 1))
    assert calendar.is_off(date(2025, 10, 18))  # a Saturday
    assert not calendar.is_off(date(2025, 10, 11))  # a Saturday that was worked
    assert calendar.reason(date(2025, 10, 11)).endswith("调休上班")
    assert calendar.ends == date(2025, 12, 31)


def test_a_country_that_announces_make_up_days_ends_with_the_last_announced_year() -> None:
    # Chinese make-up days of 2090 are not announced before 2089.
    calendar = public_holidays("CN", range(2025, 2091))

    assert calendar.ends is not None
    assert 2026 <= calendar.ends.year < 2090
    assert calendar.warning(date(2090, 1, 1)) is not None


def test_a_country_without_make_up_days_ends_with_the_last_year() -> None:
    calendar = public_holidays("DE", [2026, 2030], subdivision="BY", name="bavaria")

    assert calendar.name == "bavaria"
    assert calendar.ends == date(2030, 12, 31)
    assert calendar.is_off(date(2030, 1, 6))
    assert not calendar.is_off(date(2028, 12, 25))  # that year was not asked for


def test_the_weekend_is_that_of_the_country() -> None:
    assert set(public_holidays("SA", [2026]).days_off.weekdays) == {4, 5}


def test_labels_do_not_depend_on_the_language_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "de_DE")

    assert "Christmas Day" in public_holidays("DE", [2026]).reason(date(2026, 12, 25))


@pytest.mark.parametrize(
    ("country", "words", "text"),
    [
        ("XX", {}, "has no country 'XX'"),
        ("DE", {"subdivision": "QQ"}, "refuses the subdivision: Entity `DE` does not have subdivision QQ"),
        ("CN", {"language": "zh_CM"}, "Did you mean 'zh_CN'?"),
    ],
)
def test_what_the_library_does_not_know_is_refused(country: str, words: dict[str, str], text: str) -> None:
    with pytest.raises(OptionError, match=text.replace("?", r"\?")):
        public_holidays(country, [2026], **words)  # type: ignore[arg-type]


def test_no_year_is_refused() -> None:
    with pytest.raises(OptionError, match="years is empty"):
        public_holidays("DE", [])


def test_a_missing_library_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)

    with pytest.raises(ConfigError, match=r"pip install 'rota\[holidays\]'"):
        public_holidays("DE", [2026])


def test_holidays_without_announced_years_have_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    library = SimpleNamespace(
        list_supported_countries=lambda: {"ZZ": []},
        list_localized_countries=dict,
        country_holidays=lambda *_, **__: _Found({date(2026, 5, 1): "May Day; Spring"}),
    )
    monkeypatch.setitem(sys.modules, "holidays", library)

    calendar = public_holidays("ZZ", [2026])

    assert calendar.reason(date(2026, 5, 1)).endswith("May Day, Spring")


class _Found(dict[date, str]):
    weekend = frozenset[int]()
    weekend_workdays = frozenset[date]()
