"""The words of descriptions, in one table for each language.

Each phrase is a format with named placeholders, so that a language chooses its own order. A pair is the form for one
thing and the form for several. To add a language, write its table and name it in `LANGUAGES`.
"""

import re
from dataclasses import dataclass

Pair = tuple[str, str]

_CHINESE = "\u3000-\u9fff\uff00-\uffef"
_IDEOGRAPH = "\u4e00-\u9fff"
_SPACE_AT_CHINESE = re.compile(rf"(?<=[{_CHINESE}]) +| +(?=[{_CHINESE}])")
_BETWEEN_SCRIPTS = re.compile(rf"(?<=[{_IDEOGRAPH}])(?=[0-9A-Za-z])|(?<=[0-9A-Za-z])(?=[{_IDEOGRAPH}])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """The words of one language. Weekdays start with Sunday, months with January."""

    weekdays: tuple[str, ...]
    months: tuple[str, ...]
    ordinals: tuple[str, ...]
    units: dict[str, Pair]
    """`second` to `month`: how many of them."""
    comma: str
    last_comma: str
    """Between the last two items of a list."""
    span: str
    in_steps: str

    # times of a day
    at_times: str
    every_unit: dict[str, str]
    every_count: str
    on_the_hour: str
    from_to: str
    next_day: str
    offset: str
    at_units: dict[str, Pair]
    inside: str
    """The finer times, inside of the coarser ones."""
    of_units: dict[str, Pair]
    of_each: dict[str, str]

    # days
    every_day: str
    every_weekdays: str
    in_months: str
    on_days: str
    """In every month."""
    on_days_in: Pair
    """In one month or several."""
    within: str
    """The days of a week or month, where the phrase has said which weeks or months."""
    day: str
    """One day of the month in a list of them."""
    days: Pair
    last_day: str
    before_last_day: Pair
    nearest_weekday: str
    last_working_weekday: str
    nth_weekday: str
    last_of_weekday: str
    hashed_weekday: str
    hashed_month: str
    both: str
    """Two kinds of days, of which each counts."""

    # the whole
    times_on_days: str
    repeats_every_day: str
    repeats_on_days: str
    cycle: str
    cycle_on_days: str
    interval: str
    hours_in_days: str
    after_end: str
    once: str
    union: str
    zone: str
    hashed: str
    spaced: bool
    """Whether spaces separate words. Otherwise they stand only between letters or digits and other characters."""

    def tidy(self, text: str) -> str:
        """Return a text with the spaces that the language has."""
        if self.spaced:
            return text
        text = _SPACE_AT_CHINESE.sub("", text)
        return _BETWEEN_SCRIPTS.sub(" ", text)


ENGLISH = Phrases(
    weekdays=("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"),
    months=(
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ),
    ordinals=("first", "second", "third", "fourth", "fifth"),
    units={
        "millisecond": ("{n} millisecond", "{n} milliseconds"),
        "second": ("{n} second", "{n} seconds"),
        "minute": ("{n} minute", "{n} minutes"),
        "hour": ("{n} hour", "{n} hours"),
        "day": ("{n} day", "{n} days"),
        "week": ("{n} week", "{n} weeks"),
        "month": ("{n} month", "{n} months"),
    },
    comma=", ",
    last_comma=" and ",
    span="{first} to {last}",
    in_steps="{first} to {last} in steps of {step}",
    at_times="at {times}",
    every_unit={
        "millisecond": "every millisecond",
        "second": "every second",
        "minute": "every minute",
        "hour": "every hour",
        "day": "every day",
    },
    every_count="every {count}",
    on_the_hour="every hour on the hour",
    from_to="{every} from {first} to {last}",
    next_day="{time} of the next day",
    offset="{every} from minute {first} of each hour",
    at_units={
        "second": ("at second {values}", "at seconds {values}"),
        "minute": ("at minute {values}", "at minutes {values}"),
        "hour": ("in hour {values}", "in hours {values}"),
    },
    inside="{fine} of {coarse}",
    of_units={
        "minute": ("minute {values}", "minutes {values}"),
        "hour": ("hour {values}", "hours {values}"),
    },
    of_each={"minute": "every minute", "hour": "every hour"},
    every_day="every day",
    every_weekdays="every {days}",
    in_months="{days} in {months}",
    on_days="on {days} of every month",
    on_days_in=("on {days} of {months}", "on {days} of {months}"),
    within="on {days}",
    day="{n}",
    days=("day {values}", "days {values}"),
    last_day="the last day",
    before_last_day=("the day before the last day", "the day {n} days before the last day"),
    nearest_weekday="the weekday (Monday to Friday) nearest to {day}",
    last_working_weekday="the last weekday (Monday to Friday)",
    nth_weekday="the {nth} {weekday}",
    last_of_weekday="the last {weekday}",
    hashed_weekday="on weekday {text} of every week",
    hashed_month="month {text}",
    both="{first} and also {second}",
    times_on_days="{times} {days}",
    repeats_every_day="{times}, {days}",
    repeats_on_days="{times}, {days}",
    cycle="every {count} {times}",
    cycle_on_days="every {count} {days} {times}",
    interval="every {length}",
    hours_in_days="{hours} ({days})",
    after_end="{length} after the end of the last run",
    once="once, at {moment}",
    union="; and ",
    zone="{text} ({zone} time)",
    hashed="{text} (H is a fixed value that follows from the schedule's ID)",
    spaced=True,
)

CHINESE = Phrases(
    weekdays=("周日", "周一", "周二", "周三", "周四", "周五", "周六"),
    months=tuple(f"{number} 月" for number in range(1, 13)),
    ordinals=("第一个", "第二个", "第三个", "第四个", "第五个"),
    units={
        "millisecond": ("{n} 毫秒", "{n} 毫秒"),
        "second": ("{n} 秒", "{n} 秒"),
        "minute": ("{n} 分钟", "{n} 分钟"),
        "hour": ("{n} 小时", "{n} 小时"),
        "day": ("{n} 天", "{n} 天"),
        "week": ("{n} 周", "{n} 周"),
        "month": ("{n} 个月", "{n} 个月"),
    },
    comma="、",
    last_comma="和",
    span="{first} 至 {last}",
    in_steps="{first} 至 {last}（步长 {step}）",
    at_times="{times}",
    every_unit={
        "millisecond": "每毫秒",
        "second": "每秒",
        "minute": "每分钟",
        "hour": "每小时",
        "day": "每天",
    },
    every_count="每 {count}",
    on_the_hour="每小时整点",
    from_to="{first} 至 {last} {every}",
    next_day="次日 {time}",
    offset="每小时从第 {first} 分钟起{every}",
    at_units={
        "second": ("第 {values} 秒", "第 {values} 秒"),
        "minute": ("第 {values} 分钟", "第 {values} 分钟"),
        "hour": ("{values} 点", "{values} 点"),
    },
    inside="{coarse}的{fine}",
    of_units={
        "minute": ("第 {values} 分钟", "第 {values} 分钟"),
        "hour": ("{values} 点", "{values} 点"),
    },
    of_each={"minute": "每分钟", "hour": "每小时"},
    every_day="每天",
    every_weekdays="每{days}",
    in_months="每年 {months}的{days}",
    on_days="每月{days}",
    on_days_in=("每年 {months}{days}", "每年 {months}的{days}"),
    within="{days}",
    day="{n} 日",
    days=("{values}", "{values}"),
    last_day="最后一天",
    before_last_day=("最后一天的前一天", "最后一天之前的第 {n} 天"),
    nearest_weekday="离 {day}最近的平日（周一至周五）",
    last_working_weekday="最后一个平日（周一至周五）",
    nth_weekday="{nth}{weekday}",
    last_of_weekday="最后一个{weekday}",
    hashed_weekday="每周的星期 {text}",
    hashed_month="{text} 月",
    both="{first}以及{second}",
    times_on_days="{days} {times}",
    repeats_every_day="{days} {times}",
    repeats_on_days="{days}，{times}",
    cycle="每 {count} {times}",
    cycle_on_days="每 {count}，{days} {times}",
    interval="每 {length}",
    hours_in_days="{hours}（{days}）",
    after_end="上次运行结束后 {length}",
    once="仅一次，{moment}",
    union="；以及",
    zone="{text}（{zone} 时间）",
    hashed="{text}（H 是由计划的 ID 决定的固定值）",
    spaced=False,
)

LANGUAGES = {"en": ENGLISH, "zh": CHINESE}
