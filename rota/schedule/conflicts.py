"""Finds fields of a definition that contradict each other, or would have no effect.

Each conflict names the field to change, and all fields that it is about. A definition leaves out a conflict about a
field with a problem of its own, because the value of that field is not known.
"""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from rota.errors import OptionError
from rota.schedule.variables import unknown_variables

if TYPE_CHECKING:
    from rota.schedule.definition import ScheduleDefinition

_OF_SPECS = ("skipped_hour", "repeated_hour", "jitter", "starts_at", "ends_at", "max_runs", "calendar", "on_day_off")
_NOT_WITH = {
    "periodic": (("process_in", "process_at"), "A periodic schedule fires at its specs"),
    "once": (("specs", *_OF_SPECS, "missed_limit"), "A schedule of the kind 'once' fires one time, at process_at"),
    "wait": (
        ("specs", *_OF_SPECS, "process_in", "process_at", "missed", "missed_limit", "start_deadline"),
        "A schedule of the kind 'wait' runs only on demand",
    ),
}
MOST_VARIABLES = 20
"""How many unknown variables of a payload are named."""
SHARD_WORDS = ("shard", "shards")
"""The keys that a run with fan_out adds to the payload of each of its tasks."""


class Conflict(NamedTuple):
    """A fault of several fields: the path of the one to change, the names of all of them, and the text."""

    path: str
    about: tuple[str, ...]
    text: str


def conflicts(definition: "ScheduleDefinition") -> Iterator[Conflict]:
    """Yield the conflicts of a definition."""
    yield from _of_kind(definition)
    if definition.kind == "periodic":
        yield from _of_specs(definition)
    if definition.kind == "once":
        yield from _of_moment(definition)
    yield from _of_limits(definition)
    yield from _of_then(definition)
    yield from _of_payload(definition)
    starts, ends = definition.starts_at, definition.ends_at
    if starts is not None and ends is not None and ends < starts:
        text = f"ends_at ({ends.isoformat()}) is before starts_at ({starts.isoformat()})."
        yield Conflict("ends_at", ("ends_at", "starts_at"), text)


def _of_kind(definition: "ScheduleDefinition") -> Iterator[Conflict]:
    fields, because = _NOT_WITH[definition.kind]
    for name in fields:
        if _is_given(definition, name):
            text = f"{because}, so {name} has no effect: leave {name} out, or change kind."
            yield Conflict(name, (name, "kind"), text)


def _of_specs(definition: "ScheduleDefinition") -> Iterator[Conflict]:
    if not definition.specs:
        text = "specs is missing: write when the schedule fires, such as '30 2 * * *' or '@every 10m'."
        yield Conflict("specs", ("specs", "kind"), text)
    from_end = False
    for index, spec in enumerate(definition.specs):
        try:
            from_end |= definition.read_spec(spec).after_end
        except OptionError as error:
            # The fault may be the zone, or that the spec only names times which a clock change skips.
            about = ("specs", "timezone", "skipped_hour", "repeated_hour", "kind")
            yield Conflict(f"specs.{index}", about, str(error))
    if from_end and len(definition.specs) > 1:
        text = "specs has a delay that counts from the end of the last run, beside others: give this schedule one spec."
        yield Conflict("specs", ("specs", "kind"), text)
    if definition.on_day_off != "skip" and definition.calendar is None:
        text = "on_day_off is given without a calendar: name the calendar too."
        yield Conflict("on_day_off", ("on_day_off", "calendar"), text)
    if from_end and definition.on_day_off != "skip":
        text = "on_day_off cannot move a delay that counts from the end of the last run: leave it out."
        yield Conflict("on_day_off", ("on_day_off", "specs"), text)


def _of_moment(definition: "ScheduleDefinition") -> Iterator[Conflict]:
    if definition.process_in is None and definition.process_at is None:
        text = "process_at is missing: write when the schedule fires, or process_in, the delay."
        yield Conflict("process_at", ("process_at", "process_in", "kind"), text)
    if definition.process_in is not None and definition.process_at is not None:
        text = "process_in and process_at both say when: give one of them."
        yield Conflict("process_in", ("process_in", "process_at"), text)
    if definition.missed == "all":
        text = "missed is 'all', but a schedule of the kind 'once' has one planned time: use 'once'."
        yield Conflict("missed", ("missed", "kind"), text)


def _of_limits(definition: "ScheduleDefinition") -> Iterator[Conflict]:
    if definition.missed_limit is not None and definition.missed != "all" and definition.kind == "periodic":
        text = (
            f"missed_limit has no effect while missed is {definition.missed!r}: leave it out, or set missed to 'all'."
        )
        yield Conflict("missed_limit", ("missed_limit", "missed", "kind"), text)
    if definition.overlap_limit is not None and definition.overlap != "queue_all":
        text = (
            f"overlap_limit has no effect while overlap is {definition.overlap!r}: leave it out, or set overlap to "
            "'queue_all'."
        )
        yield Conflict("overlap_limit", ("overlap_limit", "overlap"), text)
    if definition.start_deadline is not None and definition.missed == "skip":
        text = "start_deadline has no effect while missed is 'skip': a missed time never runs. Leave one of them out."
        yield Conflict("start_deadline", ("start_deadline", "missed"), text)


def _of_then(definition: "ScheduleDefinition") -> Iterator[Conflict]:
    for index, rule in enumerate(definition.then):
        path, about = f"then.{index}", ("then", "name")
        if (rule.schedule is None) == (rule.task_type is None):
            yield Conflict(path, about, f"{path} must have either schedule (its name) or task_type.")
        elif rule.schedule is not None and (rule.payload or rule.queue is not None):
            text = f"{path} starts the schedule {rule.schedule!r}, which has its own payload and queue: leave them out."
            yield Conflict(path, about, text)
        elif rule.schedule == definition.name:
            yield Conflict(path, about, f"{path} would start {rule.schedule!r}, which is this schedule, without end.")


def _of_payload(definition: "ScheduleDefinition") -> Iterator[Conflict]:
    for path, text in islice(unknown_variables("payload", definition.payload), MOST_VARIABLES):
        yield Conflict(path, ("payload",), text)
    for index, rule in enumerate(definition.then):
        for path, text in islice(unknown_variables(f"then.{index}.payload", rule.payload), MOST_VARIABLES):
            yield Conflict(path, ("then",), text)
    if definition.fan_out is None:
        return
    if definition.group is not None:
        text = "fan_out makes several tasks, and group joins tasks into one: leave one of them out."
        yield Conflict("fan_out", ("fan_out", "group"), text)
    for word in SHARD_WORDS:
        if word in definition.payload:
            text = f"payload has the key {word!r}, which fan_out sets for each task: rename it."
            yield Conflict("fan_out", ("fan_out", "payload"), text)


def _is_given(definition: "ScheduleDefinition", name: str) -> bool:
    field = type(definition).model_fields[name]
    return bool(getattr(definition, name) != field.get_default(call_default_factory=True))
