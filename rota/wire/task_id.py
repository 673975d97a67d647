"""New task IDs: random UUIDs (version 4) as text, made in batches because one by one they cost as much as a task."""

import os

_BATCH = 128
_DIGITS = 32
# Version and variant of a whole batch are set in one step, on one large number.
_KEEP = int("ffffffffffff0fff3fffffffffffffff" * _BATCH, 16)
_MARK = int("00000000000040008000000000000000" * _BATCH, 16)
_ready: list[str] = []


def new_task_id() -> str:
    """Return a new random UUID. Safe in threads (a list's `pop` is atomic) and across a fork."""
    try:
        return _ready.pop()
    except IndexError:
        made = _make()
        own = made.pop()
        _ready.extend(made)
        return own


def _make() -> list[str]:
    number = int.from_bytes(os.urandom(_BATCH * _DIGITS // 2)) & _KEEP | _MARK
    digits = f"{number:0{_BATCH * _DIGITS}x}"
    ids = [digits[i : i + _DIGITS] for i in range(0, len(digits), _DIGITS)]
    return [f"{id[:8]}-{id[8:12]}-{id[12:16]}-{id[16:20]}-{id[20:]}" for id in ids]


# A child of a fork would otherwise hand out the same IDs as its parent.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ready.clear)
