"""Enqueueing: Asynq's `rdb.Enqueue`, `Schedule`, `AddToGroup` and their unique forms, as batches for one queue.

`enqueue_plain` is the fast path for tasks without options, `enqueue` takes every option, and `debounce` joins calls.
Each can be sent again after a lost reply (see `Item.mark`). Each is refused while the queue refuses producers (see
`rota.wire.pause`).

A program that only enqueues does not read messages, so it does not load protobuf: the fields are encoded here. An
`Envelope` encodes once what all tasks of one kind have in common, and adds payload, ID and lock for each task. That
takes a tenth of the time of building a protobuf object.
"""

import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from rota.errors import OptionError
from rota.wire.keys import QueueKeys
from rota.wire.script import Argument, Call, load
from rota.wire.times import unix_deadline, whole_seconds


class Item(NamedTuple):
    """One task for `enqueue`, in the order of the script's arguments."""

    id: str
    message: bytes
    when: str = ""
    """`""` for now, `"1700000000.5"` for a Unix time, `"+2.5"` for seconds from now by the server's clock."""
    group: str = ""
    lock: str = ""
    lock_ms: int | str = ""
    """Milliseconds until the lock expires, counted from when the task is due; `""` for a lock that does not expire."""
    scope: str = "ttl"
    on_conflict: str = "return"
    mark: str = ""
    """Identifies the tasks that this request wrote if it is sent again. Give the ID itself if it was made for this
    request, a random text if the caller chose the ID, or `""` for a request that is sent only once.
    """
    explicit: str = ""
    """`timeout`, `max_retry` or both, if they were given for this call although their values are Asynq's defaults."""


class Reply(NamedTuple):
    """The outcome of one item.

    `reason` is `created` (perhaps by an earlier sending of this request), `duplicate`, `replaced`, `busy`, `conflict`
    or `error`. `id` and `state` are those of the task that is there now; for `error`, the server's text and `""`.
    """

    reason: str
    id: str
    state: str


def enqueue_plain(keys: QueueKeys, pairs: Sequence[str | bytes]) -> Call[int]:
    """Add tasks without options, to run as soon as possible: `pairs` alternates ID (of `new_task_id`) and message.

    Returns how many are new. A task whose ID exists was added by an earlier sending of this call, and is not changed.
    """
    return Call(load("enqueue_plain"), (keys.pending, keys.pause), (keys.task_prefix, *pairs), int)


def enqueue(keys: QueueKeys, items: Sequence[Item], *, accepted: bool = False) -> Call[list[Reply]]:
    """Add tasks with any options, independently of each other. Can be sent again if every item has a mark.

    `accepted` marks tasks that are made of accepted ones, such as the result of an aggregation: a queue that refuses
    its producers takes them.
    """
    args: list[Argument] = [keys.base, keys.task_prefix, "" if accepted else keys.pause]
    for item in items:
        args += item
    ids = [item.id for item in items]
    return Call(load("enqueue"), (keys.pending, keys.scheduled), args, lambda raw: list(map(_reply, ids, raw)))


def debounce(
    keys: QueueKeys,
    task_id: str,
    message: bytes,
    *,
    lock: str,
    wait_seconds: float,
    max_wait_seconds: float | None,
    explicit: str = "",
) -> Call[Reply]:
    """Reschedule the waiting task that holds this lock to `wait_seconds` from now with this message, or add it.

    Can be sent again: the ID must have been made for this call, and marks what an earlier sending wrote.
    """
    longest = "" if max_wait_seconds is None else max_wait_seconds
    args = (keys.task_prefix, task_id, message, lock, wait_seconds, longest, explicit)
    return Call(load("debounce"), (keys.pending, keys.scheduled, keys.pause), args, lambda raw: _reply(task_id, raw))


def _reply(task_id: str, raw: Any) -> Reply:
    if isinstance(raw, bytes):
        return Reply("created", task_id, raw.decode())
    reason, other, state = cast(list[bytes], raw)
    return Reply(reason.decode(), other.decode(errors="replace"), state.decode(errors="replace"))


DEFAULT_QUEUE = "default"
DEFAULT_MAX_RETRY = 25
DEFAULT_TIMEOUT_S = 1800
MAX_COUNT = 2**31 - 1
_SMALL = [bytes([size]) for size in range(128)]
_BATCH = 128
_BYTES = 16
_STARTS = range(0, _BATCH * 40, 40)
"""Where the digits of each ID begin in a text of 32 digits and 8 hyphens for each."""
# One large number holds all IDs of a batch, so one operation changes all: `_KEEP` leaves the random bits, `_MARK` adds
# version, variant and the position in the batch, and `_EACH` adds a number that is the same in all IDs.
_KEEP = int("00000000000000000000ffffffffffff" * _BATCH, 16)
_EACH = int("00000000000000000001000000000000" * _BATCH, 16)
_MARK = int("".join(f"00000000000070008{n:03x}000000000000" for n in range(_BATCH)), 16)
_ready: deque[str] = deque()
"""IDs without their first 15 characters, which tell the time, in ascending order."""
_batches = itertools.count(int.from_bytes(os.urandom(2)))
"""The numbers of the batches. They begin anywhere, so two processes do not make the same IDs at the same time."""
_refilling = threading.Lock()
_time = (0, "")
"""A Unix time in milliseconds, and the beginning of an ID that is made in it."""


class Envelope:
    """A message without its payload, ID and unique lock.

    Without timeout and deadline the timeout is Asynq's 30 minutes. Because the message holds whole seconds, timeout and
    retention are rounded up, so that neither is shorter than requested. `deadline` must have a time zone. Raises
    OptionError for values that a Go program could not read or would misread.
    """

    __slots__ = ("_head", "_middle", "_tail")

    def __init__(
        self,
        type: str,
        *,
        queue: str = DEFAULT_QUEUE,
        max_retry: int = DEFAULT_MAX_RETRY,
        timeout: timedelta | None = None,
        deadline: datetime | None = None,
        retention: timedelta | None = None,
        group: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if not 0 <= max_retry <= MAX_COUNT:
            raise OptionError(f"max_retry is {max_retry}: give 0 for no retries, or a number up to {MAX_COUNT}.")
        try:
            # In ascending order of the field numbers, as Go writes them: see asynq.proto.
            self._head = _text(1, type)
            self._middle = b"".join((
                _text(4, queue),
                _number(5, max_retry),
                _number(8, _timeout_s(timeout, deadline)),
                _number(9, 0 if deadline is None else unix_deadline(deadline)),
            ))  # fmt: skip
            self._tail = b"".join((
                _number(12, 0 if retention is None else _retention_s(retention)),
                _text(14, group),
                *(_field(15, _bare_text(1, key) + _bare_text(2, value)) for key, value in (headers or {}).items()),
            ))  # fmt: skip
        except UnicodeEncodeError as error:
            raise OptionError(
                f"A task of type {type!r} does not fit Asynq's message ({error}): texts must be valid UTF-8."
            ) from error

    def seal(self, payload: bytes, task_id: bytes, lock: bytes = b"") -> bytes:
        """Return the message of one task."""
        size, length = len(payload), len(task_id)
        # Fast path for nearly every message: each length fits one byte, and there is no lock.
        if 0 < size < 128 and 0 < length < 128 and not lock:
            small = (b"\x12", _SMALL[size], payload, b"\x1a", _SMALL[length], task_id)
            return b"".join((self._head, *small, self._middle, self._tail))
        inner = (_field(2, payload), _field(3, task_id), self._middle, _field(10, lock))
        return b"".join((self._head, *inner, self._tail))


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())


def _bare_text(number: int, text: str) -> bytes:
    """Encode the key or value of a map entry, which is written even if it is empty."""
    return _text(number, text) or _SMALL[number << 3 | 2] + b"\0"


def _field(number: int, value: bytes) -> bytes:
    """Encode a text, bytes or an inner message, with its length. An empty value is left out."""
    return b"".join((_SMALL[number << 3 | 2], _varint(len(value)), value)) if value else b""


def _number(number: int, value: int) -> bytes:
    """Encode a number. Zero is left out; a negative number is encoded as its 64-bit two's complement."""
    return _SMALL[number << 3] + _varint(value % 2**64) if value else b""


def _varint(value: int) -> bytes:
    """Encode a number in groups of seven bits, lowest first. All bytes but the last have the eighth bit set."""
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    written.append(value)
    return bytes(written)


def _timeout_s(timeout: timedelta | None, deadline: datetime | None) -> int:
    if timeout is None:
        return DEFAULT_TIMEOUT_S if deadline is None else 0
    seconds = whole_seconds(timeout)
    if seconds <= 0:
        # Asynq would store the value, and then use 30 minutes (zero) or fail the task at once (negative).
        raise OptionError(f"A timeout of {timeout} is not positive: leave it out, or give a far deadline for no limit.")
    return seconds


def _retention_s(retention: timedelta) -> int:
    seconds = whole_seconds(retention)
    if seconds < 0:
        raise OptionError(f"A retention of {retention} is negative: leave it out to keep nothing.")
    return seconds


def new_task_id() -> str:
    """Return a new UUID of version 7 (RFC 9562) as text: 48 bits of milliseconds, 26 that count, and 48 random ones.

    Each is greater than those before it, unless the clock is set back. A sorted set orders members with equal scores
    by their text: so tasks of one program that are due in the same millisecond, or join a group in it, keep the order
    in which they were enqueued.

    IDs are made in batches, because making a single one takes as long as enqueueing a task. Safe in threads (`popleft`
    of a deque is atomic) and after a fork.
    """
    global _time
    milliseconds, (known, start) = time.time_ns() // 1_000_000, _time
    if milliseconds != known:
        digits = f"{milliseconds:012x}"
        start = f"{digits[:8]}-{digits[8:]}-"
        _time = milliseconds, start
    try:
        return start + _ready.popleft()
    except IndexError:
        return start + _refill()


def _refill() -> str:
    """Make a batch, unless another thread has just done it, and return the next ID of those that are ready."""
    with _refilling:
        try:
            return _ready.popleft()
        except IndexError:
            own, *others = _make(next(_batches))
            _ready.extend(others)
            return own


def _make(batch: int) -> list[str]:
    """Make the part of the IDs of a batch after the time: `7ccc-cccc-rrrr-rrrr-rrrr` (c counts) without two hyphens."""
    number = int.from_bytes(os.urandom(_BATCH * _BYTES)) & _KEEP
    number += _MARK + _EACH * ((batch >> 7 & 0xFFF) << 16 | (batch & 0x7F) << 7)
    # Every fourth digit is followed by a hyphen, and each ID leaves out those that a UUID does not have.
    text = number.to_bytes(_BATCH * _BYTES).hex("-", -2)
    return [f"{text[i + 15 : i + 29]}{text[i + 30 : i + 34]}{text[i + 35 : i + 39]}" for i in _STARTS]


def _forget_ids() -> None:
    global _batches, _refilling
    _ready.clear()
    _batches, _refilling = itertools.count(int.from_bytes(os.urandom(2))), threading.Lock()


# Otherwise a forked child would hand out the same IDs as its parent.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_ids)
