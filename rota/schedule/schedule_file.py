"""A file of schedules, in YAML or JSON: what `rota schedule apply`, `check` and `export` read and write.

    tag: shop                       # optional: every schedule of this file has this tag
    defaults:                       # optional: fields of all schedules of this file
      timezone: Europe/Berlin
    schedules:
      - name: nightly backup
        task_type: backup:database
        specs: "30 2 * * *"

Three rules follow from what such a file is for, which is to be applied again after each change of it:

1. The schedules that a file owns are those with its tag. Only these are deleted when a file is applied with `prune`.
2. `enabled`, `pause_until` and `pause_note` belong to the operators: a file changes them only if it names them, so that
   applying it again does not start a schedule that an operator has stopped.
3. `process_in` is refused, because each time the file is applied the moment would move.

YAML is read by the rules of YAML 1.2, as `ruamel.yaml` does: `on` and `no` are texts, and a key that stands twice is an
error. JSON is YAML, so one reader is enough. Every problem is collected and shown with its line.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any

from rota.core.canonical import is_array, is_mapping
from rota.core.text import counted, did_you_mean
from rota.errors import ConfigError, ScheduleInvalid
from rota.schedule.definition import FIELDS, ScheduleDefinition
from rota.schedule.fields import brief

OPERATED = ("enabled", "pause_until", "pause_note")
"""Fields that an applied file leaves as they are, unless it names them."""
_TOP = ("tag", "defaults", "schedules")
_ESCAPED_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
"""A character above U+FFFF as JSON escapes it, in two halves. YAML has no such pairs."""
MOST_CHARACTERS = 16 * 1024 * 1024
MOST_VALUES = 1_000_000
_NOT_IN_YAML = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that YAML allows only as escapes (YAML 1.2, 5.1), or that readers of YAML 1.1 take for the end of a line.

JSON allows them inside of texts.
"""


@dataclass(frozen=True, slots=True)
class FiledSchedule:
    """One schedule of a file. `named` has the fields that the file gives, `source_line` its file and line."""

    definition: ScheduleDefinition
    named: frozenset[str]
    source_line: str


@dataclass(frozen=True, slots=True)
class ScheduleFile:
    """The schedules of one file, or of several."""

    schedules: tuple[FiledSchedule, ...]
    tags: frozenset[str] = frozenset()

    @classmethod
    def joined(cls, files: Iterable["ScheduleFile"]) -> "ScheduleFile":
        """Return several files as one. Raises ScheduleInvalid if two of them have a schedule of the same name."""
        found = list(files)
        schedules = tuple(each for file in found for each in file.schedules)
        if problems := list(_doubles(schedules)):
            raise _refusal(problems)
        return cls(schedules, frozenset(tag for file in found for tag in file.tags))


def read_file(text: str, source: str) -> ScheduleFile:
    """Read a file of schedules. `source` is its name for messages.

    Raises ScheduleInvalid with every problem: each has the source line, as `file:line`, and says what is wrong.
    """
    if len(text) > MOST_CHARACTERS:
        raise _refusal([(source, f"The file has {len(text):,} characters, but may have {MOST_CHARACTERS:,}.")])
    content = read_content(text, source)
    reader = _FileReader(source, content)
    found = reader.schedules()
    problems = [*reader.problems, *_doubles(found)]
    if problems:
        raise _refusal(problems)
    return ScheduleFile(tuple(found), frozenset({reader.tag} if reader.tag else ()))


def write_file(definitions: Iterable[ScheduleDefinition], *, as_json: bool = False) -> str:
    """Write schedules as `read_file` reads them. Fields with their default are left out, apart from the time zone."""
    return write_content({"schedules": [definition.to_mapping() for definition in definitions]}, as_json=as_json)


def write_content(content: Mapping[str, Any], *, as_json: bool = False) -> str:
    """Write values that JSON can express, as YAML or JSON, so that `read_content` reads them."""
    if as_json:
        return json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    yaml = _yaml()
    yaml.default_flow_style = False
    yaml.allow_unicode = _NOT_IN_YAML.search(json.dumps(content, ensure_ascii=False)) is None
    yaml.width = 2**16  # a long text stays on its line, so that a change of it is one line of a diff
    yaml.indent(mapping=2, sequence=4, offset=2)
    written = StringIO()
    yaml.dump(content, written)
    return written.getvalue()


class _FileReader:
    def __init__(self, source: str, content: Any) -> None:
        self.problems: list[tuple[str, str]] = []
        self.tag: str | None = None
        self._source = source
        self._content = content

    def schedules(self) -> list[FiledSchedule]:
        """Return the schedules without a problem; the problems are collected."""
        content = self._content
        if not is_mapping(content):
            what = "It is empty, so it" if content is None else brief(content)
            self._refuse(content, None, f"{what} is not a file of schedules: it needs a list `schedules`.")
            return []
        for name in content:
            if name not in _TOP:
                self._refuse(content, name, f"There is no field {name!r} at the top. {did_you_mean(str(name), _TOP)}")
        defaults = self._defaults(content)
        self.tag = self._tag(content)
        rows = content.get("schedules")
        if not is_array(rows):
            self._refuse(content, "schedules", "`schedules` is missing: write a list of schedules.")
            return []
        read = (self._schedule(row, rows, index, defaults) for index, row in enumerate(rows))
        return [each for each in read if each is not None]

    def _tag(self, content: Mapping[Any, Any]) -> str | None:
        tag = content.get("tag")
        if tag is None or (isinstance(tag, str) and tag.strip()):
            return tag
        self._refuse(content, "tag", f"tag is {brief(tag)}, but must be a text: the tag of all schedules of this file.")
        return None

    def _defaults(self, content: Mapping[Any, Any]) -> dict[str, Any]:
        defaults = content.get("defaults")
        if defaults is None:
            return {}
        if not is_mapping(defaults):
            self._refuse(content, "defaults", f"defaults is {brief(defaults)}, but must be an object of fields.")
            return {}
        for name in defaults:
            if name not in FIELDS or name == "name":
                self._refuse(defaults, name, f"{name!r} cannot be a default. {did_you_mean(str(name), FIELDS)}")
        return {str(name): value for name, value in defaults.items() if name in FIELDS}

    def _schedule(self, row: Any, rows: Any, index: int, defaults: Mapping[str, Any]) -> FiledSchedule | None:
        source_line = self._source_line(rows, index)
        if not is_mapping(row):
            self.problems.append(
                (source_line, f"{brief(row)} is not a schedule: write an object with name and task_type.")
            )
            return None
        if row.get("process_in", defaults.get("process_in")) is not None:
            self._refuse(row, "process_in", "process_in would move each time the file is applied: write process_at.")
            return None
        try:
            definition = ScheduleDefinition.read({**defaults, **row})
            if self.tag and self.tag not in definition.tags:
                definition = definition.patched({"tags": [*definition.tags, self.tag]})
        except ScheduleInvalid as error:
            for path, text in error.problems:
                field = path.partition(".")[0]
                at = self._source_line(row, field) if field in row else source_line
                self.problems.append((at, f"{_named(row)}{text}"))
            return None
        return FiledSchedule(definition, frozenset(map(str, (*defaults, *row))), source_line)

    def _refuse(self, holder: Any, key: object, text: str) -> None:
        self.problems.append((self._source_line(holder, key), text))

    def _source_line(self, holder: Any, key: object) -> str:
        """Return `file:line` of a key or an item. The containers that ruamel.yaml returns know their lines."""
        marks: Any = getattr(holder, "lc", None)
        if marks is None:
            return self._source
        known: Any = marks.data or {}
        line: int = known[key][0] if key in known else marks.line
        return f"{self._source}:{line + 1}"


def _named(row: Mapping[Any, Any]) -> str:
    name = row.get("name")
    return f"The schedule {name!r}: " if isinstance(name, str) else ""


def _doubles(schedules: Iterable[FiledSchedule]) -> Iterator[tuple[str, str]]:
    first: dict[str, str] = {}
    for each in schedules:
        name = each.definition.name
        if name in first:
            yield each.source_line, f"The name {name!r} stands at {first[name]} already: each schedule needs its own."
        first.setdefault(name, each.source_line)


def _refusal(problems: list[tuple[str, str]]) -> ScheduleInvalid:
    lines = "".join(f"\n- {source_line}: {text}" for source_line, text in problems)
    return ScheduleInvalid(f"{counted(len(problems), 'problem')}, so nothing is changed:{lines}", problems=problems)


def read_content(text: str, source: str) -> Any:
    """Read a file of YAML or JSON. Raises ScheduleInvalid with the source line."""
    yaml = _yaml()
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if text.lstrip()[:1] == "{":
        text = _ESCAPED_PAIR.sub(_joined_halves, text)
        text = _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    elif (strange := _NOT_IN_YAML.search(text)) is not None:
        line = text.count("\n", 0, strange.start()) + 1
        escape = f"\\u{ord(strange[0]):04x}"
        raise _refusal(
            [(f"{source}:{line}", f"A file of YAML cannot hold this character: write {escape} in double quotes.")]
        )
    try:
        content = yaml.load(text)
    except MarkedYAMLError as error:
        marked: Any = error
        line = marked.problem_mark.line + 1 if marked.problem_mark is not None else 1
        advice = " Quote a text that begins with *, @ or %." if _begins_with_a_mark(text, line) else ""
        said = " ".join(str(marked.problem or marked.context or "it cannot be read").split())
        raise _refusal([(f"{source}:{line}", f"This is not YAML or JSON: {said}.{advice}")]) from None
    except (YAMLError, ValueError, RecursionError) as error:
        # A text with control characters, a number of a million digits, ten thousand brackets.
        raise _refusal([(source, f"This is not YAML or JSON: {type(error).__name__}.")]) from None
    return _plain(content, source)


def _joined_halves(found: re.Match[str]) -> str:
    backslashes, high, low = found.groups()
    return backslashes + bytes.fromhex(high + low).decode("utf-16-be")


def _begins_with_a_mark(text: str, line: int) -> bool:
    lines = text.splitlines()
    return line <= len(lines) and any(f"{before}{mark}" in lines[line - 1] for before in (": ", "- ") for mark in "*@%")


def _plain(value: Any, source: str) -> Any:
    """Refuse what JSON lacks: tags such as `!!python/object`, and anchors that multiply a value without a bound."""
    left = MOST_VALUES

    def check(value: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _refusal([(source, f"The file has more than {MOST_VALUES:,} values. Does an anchor hold itself?")])
        items: list[Any] = list(value.values()) if is_mapping(value) else list(value) if is_array(value) else []
        tag = getattr(getattr(value, "tag", None), "value", None)
        if tag is not None:
            raise _refusal([(source, f"The tag {tag} is not allowed: write plain texts, numbers, lists and objects.")])
        for item in items:
            check(item)

    check(value)
    return value


def _yaml() -> Any:
    try:
        from ruamel.yaml import YAML
    except ImportError:
        raise ConfigError("Files of schedules need the package ruamel.yaml: pip install 'rota[store]'.") from None
    return YAML(typ="rt", pure=True)


def with_operated_fields(wanted: FiledSchedule, now: ScheduleDefinition) -> ScheduleDefinition:
    """Return the definition to store in place of `now`: the file's, with the operators' fields unless it names them."""
    kept = {name: value for name, value in now.to_mapping().items() if name in OPERATED and name not in wanted.named}
    return wanted.definition.patched(kept) if kept else wanted.definition
