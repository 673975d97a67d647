"""Lists the tasks that wait in a sandbox, compares them with what a test expects, and words the difference."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from rota.broker.sync import SyncBroker
from rota.core.canonical import is_mapping
from rota.core.text import counted, did_you_mean
from rota.errors import OptionError, PayloadError
from rota.inspect.task_snapshot import TaskSnapshot, read_task
from rota.tasks.job import Plan, TaskState
from rota.tasks.task import Task
from rota.tasks.untyped import loose_payload
from rota.wire import look_task
from rota.wire.keys import QueueKeys
from rota.wire.names import text

Expected = Task[..., Any] | Plan[Any] | str
"""A task with some of its arguments, a plan with all of them, or the name of a type."""

RESERVED = ("queue", "count")
_SHOWN_BYTES = 200


def waiting(broker: SyncBroker, queues: Iterable[str]) -> Iterator[TaskSnapshot]:
    """Yield the tasks that have not run, or will run again: pending, in groups, scheduled, then waiting for a retry."""
    for name in queues:
        keys = broker.keys.queue(name)
        groups = sorted(broker.execute("SMEMBERS", keys.groups, key=keys.groups))
        yield from _in_state(broker, keys, keys.pending, TaskState.PENDING)
        for group in groups:
            yield from _in_state(broker, keys, keys.group(text(group)), TaskState.AGGREGATING)
        yield from _in_state(broker, keys, keys.scheduled, TaskState.SCHEDULED)
        yield from _in_state(broker, keys, keys.retry, TaskState.RETRY)


def _in_state(broker: SyncBroker, keys: QueueKeys, container: str, state: TaskState) -> Iterator[TaskSnapshot]:
    start = 0
    while (page := broker.run(look_task.tasks(keys, state, container, start))).tasks:
        start += len(page.tasks)
        yield from map(read_task, page.tasks)


class Expectation:
    """The task that a test expects to be enqueued. Raises OptionError for arguments that the task does not have."""

    def __init__(self, what: Expected, args: tuple[Any, ...], arguments: Mapping[str, Any], queue: str | None) -> None:
        self.queue = queue
        self._task: Task[..., Any] | None = what if isinstance(what, Task) else None
        self._payload: bytes | None = None
        self._arguments = dict(arguments)
        if isinstance(what, str):
            self.type = what
            self._expect_payload(args)
        elif isinstance(what, Plan):
            self.type, self._payload = what.type, what.payload
            if args or arguments:
                raise OptionError("A plan has its arguments already: give either a plan, or a task with arguments.")
        elif self._task is None:
            raise OptionError(f"{what!r} is expected, which is not a task, a plan or the name of a type.")
        else:
            self.type = what.type
            self._arguments = _named(what, args, arguments)

    def fits(self, found: TaskSnapshot) -> bool:
        """Whether a task has this type, is in this queue, and has these arguments."""
        if found.type != self.type or (self.queue is not None and found.queue != self.queue):
            return False
        if self._payload is not None:
            return found.payload == self._payload or _as_json(found.payload) == _as_json(self._payload)
        return not self._arguments or self._has_arguments(found.payload)

    def failure(self, tasks: Sequence[TaskSnapshot], count: int | None) -> str:
        """Word what was expected, what was found, and all tasks that wait."""
        found = sum(map(self.fits, tasks))
        wanted = "no task" if count == 0 else "a task" if count is None else counted(count, "task")
        lines = [f"Expected {wanted} {self}, but found {found or 'none'}."]
        same = [each for each in tasks if each.type == self.type]
        others = [each for each in tasks if each.type != self.type]
        lines.append("These tasks wait in the sandbox:" if tasks else "No task waits in the sandbox.")
        lines += [f"  {'->' if self.fits(each) else '  '} {_line(each)}" for each in (*same, *others)]
        return "\n".join(lines)

    def __str__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self._arguments.items())
        if self._payload is not None:
            said = _cut(self._payload)
        where = "" if self.queue is None else f" in queue {self.queue!r}"
        return f"{self.type}{f' with {said}' if said else ''}{where}"

    def _expect_payload(self, args: tuple[Any, ...]) -> None:
        if len(args) > 1 or (args and self._arguments):
            raise OptionError(f"{self.type!r} is only a name: give the whole payload, or arguments by name.")
        if args:
            self._payload = loose_payload(self.type, args[0])

    def _has_arguments(self, payload: bytes) -> bool:
        stored = _as_json(payload)
        by_key: Mapping[str, Any] = cast("Mapping[str, Any]", stored) if is_mapping(stored) else {}
        received = self._received(payload)
        return all(
            any(name in values and _equal(values[name], value) for values in (received, by_key))
            for name, value in self._arguments.items()
        )

    def _received(self, payload: bytes) -> Mapping[str, Any]:
        try:
            return {} if self._task is None else self._task.handler.arguments.received(payload)
        except PayloadError:
            return {}  # another program enqueued it, and the function would refuse it too


def _named(task: Task[..., Any], args: tuple[Any, ...], arguments: Mapping[str, Any]) -> dict[str, Any]:
    signature = task.handler.signature
    parameters = signature.parameters if signature.whole is None else (signature.whole,)
    names = [each.name for each in parameters]
    if clash := [name for name in RESERVED if name in names]:
        raise OptionError(
            f"{task.type} has a parameter named {clash[0]!r}, as this assertion has: give a plan with all arguments, "
            f"as in assert_enqueued({signature.name}.plan(...))."
        )
    positional = [each.name for each in parameters if not each.keyword_only]
    if len(args) > len(positional):
        raise OptionError(f"{task.type} takes {counted(len(positional), 'argument')} by position, not {len(args)}.")
    given = dict(zip(positional, args, strict=False))
    for name, value in arguments.items():
        if name not in names:
            raise OptionError(f"{task.type} takes no argument {name!r}. {did_you_mean(name, names)}")
        if name in given:
            raise OptionError(f"{task.type} got {name!r} twice: by position and by name.")
        given[name] = value
    return given


def _equal(found: object, expected: object) -> bool:
    return bool(found == expected)


def _as_json(payload: bytes) -> object:
    try:
        return cast("object", json.loads(payload))
    except ValueError:
        return payload


def _line(task: TaskSnapshot) -> str:
    due = "" if task.next_process_at is None or task.state is TaskState.PENDING else f" at {task.next_process_at}"
    error = f" ({task.last_error})" if task.last_error else ""
    return f"{task.queue}: {task.type} {_cut(task.payload)}, {task.state}{due}{error}"


def _cut(payload: bytes) -> str:
    shown = payload[:_SHOWN_BYTES].decode(errors="replace")
    return f"{shown}..." if len(payload) > _SHOWN_BYTES else shown
