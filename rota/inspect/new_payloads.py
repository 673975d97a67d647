"""Gives tasks another payload: reads their messages, makes the new ones, and writes each if it has not changed since.

One task and many take the same way. A script writes a message, moves the unique lock and makes the task pending in one
step, so a task is never left with the new payload but without running.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rota.client.packing import Packer
from rota.client.steps import Act, Burst, Command
from rota.client.verbs import MOST_READINGS, gone, in_calls, payload_refusal, unsteady
from rota.errors import BrokerError, PayloadError
from rota.inspect.bulk_acts import EditPayload
from rota.inspect.face import TaskRef
from rota.inspect.moving import Done
from rota.inspect.payload_check import PayloadCheck
from rota.inspect.payload_fields import read_fields, with_fields
from rota.inspect.server_reads import published_types
from rota.wire import edit
from rota.wire.edit import Edited, NewMessage
from rota.wire.keys import Keys
from rota.wire.message import unpack
from rota.wire.names import raw

MOST_READ = 50
"""How many messages are read at once, because each may have some megabytes."""
_CALL_BYTES = 1024 * 1024


class _Draft(NamedTuple):
    number: int
    task: TaskRef
    message: NewMessage
    part: str
    """The drafts of one part are sent in one call: they have one queue, and together not too many bytes."""


class Editing:
    """One edit of one task or many: makes, checks and writes the new payloads."""

    def __init__(self, act: EditPayload, keys: Keys, packer: Packer) -> None:
        """Raises PayloadError or OptionError if no task can have what the act says."""
        self._act, self._keys, self._packer = act, keys, packer
        self._fields = read_fields(act.fields or {})
        self._payload = b"" if act.payload is None else packer.checked_payload("-", act.payload)
        self._check_of_types: PayloadCheck | None = None
        self._faults: dict[str, PayloadError | None] = {}

    def prepare(self) -> Act[None]:
        """Read what the workers publish of their task types. Raises ConfigError if nothing can be checked."""
        if self._act.check:
            self._check_of_types = PayloadCheck((yield from published_types(self._keys)))

    def edit(self, tasks: Sequence[TaskRef]) -> Act[list[Done]]:
        """Edit tasks, and return what was done to each."""
        outcomes: dict[int, Done] = {}
        for first in range(0, len(tasks), MOST_READ):
            left: Sequence[int] = range(first, min(len(tasks), first + MOST_READ))
            for _ in range(MOST_READINGS):
                left = yield from self._read_and_write(tasks, left, outcomes)
                if not left:
                    break
            outcomes.update((i, unsteady(*tasks[i])) for i in left)
        return [outcomes[i] for i in range(len(tasks))]

    def _read_and_write(
        self, tasks: Sequence[TaskRef], numbers: Sequence[int], outcomes: dict[int, Done]
    ) -> Act[list[int]]:
        """Edit some tasks, and return those that were changed by another program meanwhile."""
        queue_keys = [self._keys.queue(tasks[i].queue) for i in numbers]
        reads = [
            Command(("HGET", raw(keys.task(tasks[i].id)), "msg"), keys.pending)
            for i, keys in zip(numbers, queue_keys, strict=True)
        ]
        found: list[Any] = yield Burst(reads, again=True)
        drafts = list(self._drafts(tasks, numbers, found, outcomes))
        replies = yield from in_calls(
            drafts,
            lambda draft: draft.part,
            lambda _, some: edit.replace_messages(
                self._keys.queue(some[0].task.queue), [each.message for each in some], run=self._act.run
            ),
        )
        changed: list[int] = []
        for draft, reply in zip(drafts, replies, strict=True):
            if isinstance(reply, Edited) and reply.reply == "changed":
                changed.append(draft.number)
            else:
                outcomes[draft.number] = _done(draft, reply)
        return changed

    def _drafts(
        self, tasks: Sequence[TaskRef], numbers: Sequence[int], found: Sequence[Any], outcomes: dict[int, Done]
    ) -> Iterator[_Draft]:
        sizes: dict[str, int] = {}
        for i, message in zip(numbers, found, strict=True):
            task = tasks[i]
            if message is None or isinstance(message, BrokerError):
                outcomes[i] = gone(*task) if message is None else message
                continue
            try:
                new = self._new_message(task, message)
            except PayloadError as error:
                outcomes[i] = error
                continue
            before = sizes.get(task.queue, 0)
            sizes[task.queue] = before + 2 * len(new.read) + len(new.written)
            yield _Draft(i, task, new, f"{sizes[task.queue] // _CALL_BYTES} {task.queue}")

    def _new_message(self, task: TaskRef, message: bytes) -> NewMessage:
        old = unpack(message)
        payload = self._payload
        if self._fields:
            try:
                payload = with_fields(old.payload, self._fields)
            except PayloadError as error:
                raise PayloadError(
                    f"The payload of task {task.id} in queue {task.queue!r} was left as it is: {error}."
                ) from error
            self._packer.checked_payload(task.id, payload)
        self._check(old.type, payload)
        return edit.new_message(self._keys.queue(task.queue), task.id, message, payload)

    def _check(self, type: str, payload: bytes) -> None:
        """Compare a payload with the schema of its type. One payload for all tasks is compared once with each type."""
        if self._check_of_types is None:
            return
        if self._fields or type not in self._faults:
            self._faults[type] = None
            try:
                self._check_of_types.check(type, payload)
            except PayloadError as error:
                self._faults[type] = error
        if fault := self._faults[type]:
            raise fault


def _done(draft: _Draft, reply: Edited | BrokerError) -> Done:
    if isinstance(reply, BrokerError):
        return reply
    if reply.reply == "same" and draft.message.read != draft.message.written:
        return "done"  # by an earlier sending, whose answer was lost
    return payload_refusal(*draft.task, reply) or reply.reply
