"""Enqueue options as text, in the form used by Asynq's scheduler entries (`String()` in its `client.go`).

`render` writes the same text as Go. `parse` reads everything that Go writes, including options that Go's own parser
loses: task IDs, groups, and arguments that contain a `)`.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from rota.core import go_text
from rota.core.text import unstopped
from rota.errors import OptionError

Value = int | str | timedelta | datetime | tuple[str, str]

_TEXTS = frozenset({"Queue", "TaskID", "Group", "Paused"})
_DURATIONS = frozenset({"Timeout", "Unique", "ProcessIn", "Retention"})
_TIMES = frozenset({"Deadline", "ProcessAt"})
_OPTION = re.compile(r"(\w+)\((.*)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TextOption:
    """One option, with the name that Asynq gives it.

    The value is an int (`MaxRetry`), a text (`Queue`, `TaskID`, `Group`), a timedelta (`Timeout`, `Unique`,
    `ProcessIn`, `Retention`), an aware datetime (`Deadline`, `ProcessAt`), or a name and value (`Header`). Rota alone
    has `Paused`, with the text that says why a schedule does not fire now; Go passes over it.
    """

    name: str
    value: Value


def render(option: TextOption) -> str:
    """Format one option. Times are in UTC, because it is the only zone whose abbreviation every parser knows."""
    return f"{option.name}({_argument(option)})"


def parse(text: str) -> TextOption:
    """Parse one option. Raises an `OptionError` with the text if the option is unknown or not valid."""
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
    # Go's JSON encoder escapes characters that have a meaning in HTML or JavaScript.
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _header(argument: str) -> tuple[str, str]:
    match json.loads(argument):
        case [str(key), str(value)]:
            return key, value
        case _:
            raise ValueError("a header is two texts")
