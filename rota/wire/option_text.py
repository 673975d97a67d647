"""Enqueue options as text, the way Asynq's scheduler entries carry them (`String()` in its `client.go`).

`render` writes what Go writes. `parse` reads what Go writes, also what Go's own reader drops: task IDs, groups,
and arguments with a `)` in them.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from rota.core.text import unstopped
from rota.errors import OptionError
from rota.wire import go_text

Value = int | str | timedelta | datetime | tuple[str, str]

_TEXTS = frozenset({"Queue", "TaskID", "Group"})
_DURATIONS = frozenset({"Timeout", "Unique", "ProcessIn", "Retention"})
_TIMES = frozenset({"Deadline", "ProcessAt"})
_OPTION = re.compile(r"(\w+)\((.*)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TextOption:
    """One option under Asynq's name for it.

    The value is an int (`MaxRetry`), a text (`Queue`, `TaskID`, `Group`), a timedelta (`Timeout`, `Unique`,
    `ProcessIn`, `Retention`), an aware datetime (`Deadline`, `ProcessAt`), or a name and value (`Header`).
    """

    name: str
    value: Value


def render(option: TextOption) -> str:
    """Write one option. Times are written in UTC, the only zone whose abbreviation every reader understands."""
    return f"{option.name}({_argument(option)})"


def parse(text: str) -> TextOption:
    """Read one option. `OptionError` names the text if it is none that is known here."""
    match = _OPTION.fullmatch(text.strip())
    if match is None:
        raise OptionError(f'{text!r} is no option: write it in a form like Queue("low").')
    name, argument = match[1], match[2]
    try:
        return TextOption(name, _value(name, argument))
    except ValueError as error:
        raise OptionError(f"The option {text!r} cannot be read: {unstopped(error)}.") from error


def _argument(option: TextOption) -> str:
    match option.value:
        case str(text) if option.name in _TEXTS:
            return go_text.quote(text)
        case int(number) if option.name == "MaxRetry":
            return str(number)
        case timedelta() as duration if option.name in _DURATIONS:
            return go_text.duration(duration)
        case datetime() as moment if option.name in _TIMES:
            return go_text.moment(moment)
        case (str(), str()) as header if option.name == "Header":
            return _json(header)
        case _:
            raise OptionError(f"{option.name} does not take {option.value!r}: see TextOption for what each takes.")


def _value(name: str, argument: str) -> Value:
    if name in _TEXTS:
        return go_text.unquote(argument)
    if name in _DURATIONS:
        return go_text.parse_duration(argument)
    if name in _TIMES:
        return go_text.parse_moment(argument)
    if name == "MaxRetry":
        return int(argument)
    if name == "Header":
        return _header(argument)
    raise ValueError(f"{name!r} is not an option of Asynq")


def _json(header: tuple[str, str]) -> str:
    # Go's encoder escapes what would be special in HTML or JavaScript.
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _header(argument: str) -> tuple[str, str]:
    match json.loads(argument):
        case [str(key), str(value)]:
            return key, value
        case _:
            raise ValueError("a header is two texts")
