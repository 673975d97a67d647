"""Calendars of public holidays, from the library `holidays` (the extra `holidays`).

The library knows the rules of most countries, so their holidays can be computed for any year. Where a government
announces make-up working days each year (调休), the library knows those of the announced years only. Then the calendar
ends with the last of these years, also if it has holidays of later years, so that it warns in time.
"""

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING

from rota.core.text import did_you_mean, unstopped
from rota.errors import ConfigError, OptionError
from rota.schedule.calendar import Calendar
from rota.schedule.day_list import DayList

if TYPE_CHECKING:
    from holidays import HolidayBase

_ENGLISH = "en_US"
MAKE_UP_DAY, _IN_CHINESE = "make-up working day", "调休上班"
_ANNOUNCED_BEFORE = 3  # years in which to search for make-up days that a country has announced


def public_holidays(
    country: str,
    years: Iterable[int],
    *,
    subdivision: str | None = None,
    language: str | None = None,
    name: str = "",
) -> Calendar:
    """Return the public holidays, weekends and make-up working days of a country, such as `"CN"`, in some years.

    `subdivision` is the code of a state or province, `language` that of the labels, such as `"zh_CN"`. The calendar is
    called as the country unless a name is given.
    """
    wanted = sorted(set(years))
    if not wanted:
        raise OptionError("years is empty: name the years of the calendar, such as [2026, 2027].")
    found = _holidays(country, subdivision, language, range(wanted[0] - _ANNOUNCED_BEFORE, wanted[-1] + 1))
    announced = {day.year for day in found.weekend_workdays if day.year >= wanted[0] - _ANNOUNCED_BEFORE}
    make_up_day = _IN_CHINESE if (language or "").lower().startswith("zh") else MAKE_UP_DAY
    return Calendar(
        name or "-".join(filter(None, (country, subdivision))),
        days_off=DayList(
            weekdays=dict.fromkeys(sorted(found.weekend), ""),
            dates={day: ", ".join(label.split("; ")) for day, label in found.items() if day.year in wanted},
        ),
        working_days=DayList(dates={day: make_up_day for day in found.weekend_workdays if day.year in wanted}),
        ends=date(min(wanted[-1], max(announced, default=wanted[-1])), 12, 31),
    )


def _holidays(country: str, subdivision: str | None, language: str | None, years: Iterable[int]) -> "HolidayBase":
    try:
        import holidays
    except ImportError as error:
        raise ConfigError(
            "Public holidays come from the library holidays, which is not installed: pip install 'rota[holidays]'."
        ) from error
    supported = holidays.list_supported_countries()
    if country not in supported:
        raise OptionError(f"The library holidays has no country {country!r}. Write its code in ISO 3166, such as CN.")
    languages = holidays.list_localized_countries().get(country, ())
    if language is not None:
        language = {each.lower(): each for each in languages}.get(language.lower().replace("-", "_"), language)
    if language is not None and language not in languages:
        raise OptionError(
            f"The library holidays has no labels of {country} in {language!r}. {did_you_mean(language, languages)}"
        )
    shown = language or (_ENGLISH if _ENGLISH in languages else None)  # the default of the library is the machine's
    try:
        return holidays.country_holidays(country, subdiv=subdivision, language=shown, years=years)
    except NotImplementedError as error:
        raise OptionError(f"The library holidays refuses the subdivision: {unstopped(error)}.") from error
