"""Formats tracebacks for the log and for the stored task.

A reader looks for the frames of the task, so the frames of Rota are left out, together with the frames of contextlib
and asyncio through which Rota calls. There is one exception. If an error comes out of code of Rota and Rota does not
raise it on purpose, it may be a bug in Rota. Then the innermost frames of Rota are kept, because a bug report needs
them. A text that is too long is cut in its middle, so that the outermost frames and the error itself remain.
"""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from traceback import FrameSummary, StackSummary, TracebackException
from types import TracebackType

from rota.errors import RotaError

MOST_BYTES = 64 * 1024
MOST_FRAMES = 50
"""Most frames of each error; the innermost frames are kept."""
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_GLUE = (contextlib.__file__, os.path.dirname(asyncio.__file__) + os.sep)
_ELSEWHERE = "In the pool process:"
"""First line of the note that holds the traceback from the other process, for a task that runs in a process."""


def text_of(error: BaseException, most_bytes: int = MOST_BYTES) -> str:
    """Return the traceback of an error with its causes, without frames of Rota; empty if no frame is left.

    Formatting calls code of the error (`__str__`, notes). If that code raises, a text that says so is returned.
    """
    try:
        trace = _without_our_first(error.__traceback__)
        whole = TracebackException(type(error), error, trace, limit=-MOST_FRAMES, compact=True)
        for each, found in _chain(whole, error):
            each.stack = StackSummary.from_list(_folded(each.stack, found))
        if not any(each.stack for each, _ in _chain(whole, error)) and _ELSEWHERE not in _notes(error):
            return ""
        return bounded("".join(whole.format()).rstrip(), most_bytes)
    except BaseException as fault:
        return f"{type(error).__name__} (its traceback cannot be shown: {type(fault).__name__})"


def _without_our_first(trace: TracebackType | None) -> TracebackType | None:
    """Skip the frames through which Rota calls a function, because to read each of them takes some microseconds.

    Returns the traceback as it was if no other frame follows. `_folded` leaves out the same frames.
    """
    left, skipped = trace, False
    while left is not None:
        name = left.tb_frame.f_code.co_filename
        if not name.startswith(_OURS) and not (skipped and name.startswith(_GLUE)):
            return left
        left, skipped = left.tb_next, True
    return trace


def _chain(whole: TracebackException, error: BaseException) -> Iterator[tuple[TracebackException, BaseException]]:
    """Yield an error, its causes, and the errors inside groups.

    If an error of Rota was caused inside Rota, the cause is removed, because it is an internal detail.
    """
    left = [(whole, error)]
    while left:
        each, found = left.pop()
        yield each, found
        if each.__cause__ is not None and found.__cause__ is not None:
            if isinstance(found, RotaError) and _is_all_ours(each.__cause__.stack):
                each.__cause__ = None
            else:
                left.append((each.__cause__, found.__cause__))
        if each.__context__ is not None and found.__context__ is not None:
            left.append((each.__context__, found.__context__))
        if each.exceptions is not None:
            inside: tuple[BaseException, ...] = getattr(found, "exceptions", ())
            left += zip(each.exceptions, inside, strict=False)


def _folded(frames: StackSummary, error: BaseException) -> list[FrameSummary]:
    kept: list[FrameSummary] = []
    since: list[FrameSummary] = []
    for frame in frames:
        if _is_ours(frame) or (since and frame.filename.startswith(_GLUE)):
            since.append(frame)
        else:
            since.clear()
            kept.append(frame)
    on_purpose = isinstance(error, RotaError | asyncio.CancelledError) or _ELSEWHERE in _notes(error)
    return kept if on_purpose else kept + since


def _is_all_ours(frames: StackSummary) -> bool:
    return all(map(_is_ours, frames))


def _is_ours(frame: FrameSummary) -> bool:
    return frame.filename.startswith(_OURS)


def _notes(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", ()))


def last_lines(text: str, most_bytes: int) -> str:
    """Return the last lines of a text that fit into `most_bytes`, because the innermost frames say most."""
    if len(text) <= most_bytes and text.isascii():
        return text
    data = text.encode("utf-8", "replace")
    if len(data) <= most_bytes:
        return data.decode()
    kept = data[len(data) - most_bytes :] if most_bytes else b""
    return kept[kept.find(b"\n") + 1 :].decode("utf-8", "ignore")


def bounded(text: str, most_bytes: int) -> str:
    """Return a text of at most `most_bytes`, by cutting out its middle."""
    if len(text) <= most_bytes and text.isascii():
        return text
    data = text.encode("utf-8", "replace")
    if len(data) <= most_bytes:
        return data.decode()
    cut = f"\n... {len(data) - most_bytes} bytes are left out ...\n"
    half = max(0, most_bytes - len(cut)) // 2
    return data[:half].decode("utf-8", "ignore") + cut + data[len(data) - half :].decode("utf-8", "ignore")
