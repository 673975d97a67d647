"""Finds fields of a definition that contradict each other, or would have no effect.

Each conflict names the fields that it is about, the one to change first. A field with a problem of its own is left out
of the conflicts, because its value is not known.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rota.schedule.definition import ScheduleDefinition

Conflict: TypeAlias = tuple[tuple[str, ...], str]

_OF_SPECS = ("skipped_hour", "repeated_hour", "jitter", "starts_at", "ends_at", "max_runs", "calendar", "on_day_off")
_NOT_WITH = {
    "periodic": (("process_in", "process_at"), "A periodic schedule fires at its specs"),
    "once": (("specs", *_OF_SPECS, "missed_limit"), "A schedule of the kind 'once' fires one time, at process_at"),
    "wait": (
        ("specs", *_OF_SPECS, "process_in", "process_at", "missed", "missed_limit", "start_deadline"),
        "A schedule of the kind 'wait' runs only on demand",
    ),
}
SHARD_WORDS = ("shard", "shards")
"""The keys that a run with fan_out adds to the payload of each of its tasks."""


def conflicts(definition: "ScheduleDefinition") -> Iterator[Conflict]:
    """Yield the conflicts of a definition."""
    yield from _of_kind(definition)
    yield from _of_limits(definition)
    yield from _of_then(definition)
    if definition.on_day_off != "skip" and definition.calendar is None:
        yield ("on_day_off", "calendar"), "on_day_off is given without a calendar: name the calendar too."
    starts, ends = definition.starts_at, definition.ends_at
    if starts is not None and ends is not None and ends < starts:
        yield ("ends_at", "starts_at"), f"ends_at ({ends.isoformat()}) is before starts_at ({starts.isoformat()})."
    if definition.fan_out is not None:
        yield from _of_fan_out(definition)


def _of_kind(definition: "ScheduleDefinition") -> Iterator[Conflict]:
    kind = definition.kind
    fields, because = _NOT_WITH[kind]
    for name in fields:
        if _is_given(definition, name):
            yield (name, "kind"), f"{because}, so {name} has no effect: leave {name} out, or change kind."
    if kind == "periodic" and not definition.specs:
        yield (
            ("specs", "kind"),
            "specs is missing: write when the schedule fires, such as '30 2 * * *' or '@every 10m'.",
        )
    if kind != "once":
        return
    if definition.process_in is None and definition.process_at is None:
        yield (
            ("process_at", "process_in", "kind"),
            "process_at is missing: write when it fires, or process_in, the delay.",
        )
    if definition.process_in is not None and definition.process_at is not None:
        yield ("process_in", "process_at"), "process_in and process_at both say when: give one of them."
    if definition.missed == "all":
        yield ("missed", "kind"), "missed is 'all', but a schedule of the kind 'once' has one planned time: use 'once'."


def _of_limits(definition: "ScheduleDefinition") -> Iterator[Conflict]:
    if definition.missed_limit is not None and definition.missed != "all" and definition.kind == "periodic":
        yield (
            ("missed_limit", "missed", "kind"),
            f"missed_limit has no effect while missed is {definition.missed!r}: leave it out, or set missed to 'all'.",
        )
    if definition.overlap_limit is not None and definition.overlap != "queue_all":
        yield (
            ("overlap_limit", "overlap"),
            f"overlap_limit has no effect while overlap is {definition.overlap!r}: leave it out, or set overlap to "
            "'queue_all'.",
        )
    if definition.start_deadline is not None and definition.missed == "skip":
        yield (
            ("start_deadline", "missed"),
            "start_deadline has no effect while missed is 'skip': a missed time never runs. Leave one of them out.",
        )


def _of_then(definition: "ScheduleDefinition") -> Iterator[Conflict]:
    for index, rule in enumerate(definition.then):
        path = f"then.{index}"
        if (rule.schedule is None) == (rule.task_type is None):
            yield ("then",), f"{path} must have either schedule (its name) or task_type."
        elif rule.schedule is not None and (rule.payload or rule.queue is not None):
            yield (
                ("then",),
                f"{path} starts the schedule {rule.schedule!r}, which has its own payload and queue: leave them out.",
            )
        elif rule.schedule == definition.name:
            yield ("then", "name"), f"{path} would start {rule.schedule!r}, which is this schedule, without end."


def _of_fan_out(definition: "ScheduleDefinition") -> Iterator[Conflict]:
    if definition.group is not None:
        yield (
            ("fan_out", "group"),
            "fan_out makes several tasks, and group joins tasks into one: leave one of them out.",
        )
    for word in SHARD_WORDS:
        if word in definition.payload:
            yield ("fan_out", "payload"), f"payload has the key {word!r}, which fan_out sets for each task: rename it."


def _is_given(definition: "ScheduleDefinition", name: str) -> bool:
    field = type(definition).model_fields[name]
    return bool(getattr(definition, name) != field.get_default(call_default_factory=True))
