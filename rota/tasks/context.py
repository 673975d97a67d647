"""The context: what a handler can know about its task, and report while it runs.

The worker makes a `Context` for each run and enters it. A function gets it as a parameter of this type, and the code
that the function calls gets it from `current()`: a context variable carries it into the threads of the worker. Progress
and log lines go to the reporter of the worker, which joins and limits them, so the last ones are lost if the worker
dies. `cancelled` tells a function in a thread that it should stop; only a time limit raises an error in the thread.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime, timedelta
from math import isfinite
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Protocol

from rota.errors import OptionError, RotaError, TaskCancelled
from rota.wire.times import from_unix

if TYPE_CHECKING:
    from rota.wire.proto import TaskMessage


class TaskReporter(Protocol):
    """Takes progress and log lines of running tasks. Called from any thread; must not block.

    The worker's reporter merges frequent reports and limits how much it keeps.
    """

    def progress(self, context: "Context", done: float, total: float | None, text: str) -> None:
        """Take the newest progress of a task."""
        ...

    def log(self, context: "Context", text: str) -> None:
        """Take one line of a task's log."""
        ...


class Silent:
    """A reporter that drops everything: for direct calls and tests."""

    def progress(self, context: "Context", done: float, total: float | None, text: str) -> None:
        """Drop it."""

    def log(self, context: "Context", text: str) -> None:
        """Drop it."""


SILENT = Silent()
_current: ContextVar["Context"] = ContextVar("rota_context")
_LARGE = 10**18


class Context:
    """The running task, as its function sees it. Each run has its own context.

    `state` is the value that the lifespan of the app yielded. After the task was asked to stop, `cancelled` is True and
    `cancel_reason` has the reason.
    """

    __slots__ = (
        "_deadline_at",
        "_ends_at",
        "_message",
        "_reporter",
        "cancel_reason",
        "cancelled",
        "has_reported",
        "state",
    )

    def __init__(
        self,
        message: "TaskMessage",
        reporter: TaskReporter = SILENT,
        deadline_at: float = 0.0,
        state: Any = None,
        ends_at: float = 0.0,
    ) -> None:
        """`deadline_at` is in Unix seconds, 0 for none; `state` is what the app's lifespan yielded.

        `ends_at` is the deadline on this machine's monotonic clock; 0 if the clocks of the server and of this machine
        are taken for equal.
        """
        self._message = message
        self._reporter = reporter
        self._deadline_at = deadline_at
        self._ends_at = ends_at
        self.state = state
        self.cancelled = False
        """True once the task was asked to stop. A function in a thread checks this; a coroutine is cancelled."""
        self.cancel_reason = ""
        self.has_reported = False
        """Whether the task has reported progress or log lines. Then the last of them may not be written yet."""

    @property
    def id(self) -> str:
        """The ID of the task, unique in its queue."""
        return self._message.id

    @property
    def type(self) -> str:
        """The full type name, also if a pattern such as `"email:"` matched it."""
        return self._message.type

    @property
    def queue(self) -> str:
        """The queue that the task came from."""
        return self._message.queue

    @property
    def retried(self) -> int:
        """The number of retries so far: 0 in the first run."""
        return self._message.retried

    @property
    def max_retry(self) -> int:
        """The number of retries that are allowed."""
        return self._message.retry

    @property
    def last_error(self) -> str:
        """The error of the previous run; empty if there was none."""
        return self._message.error_msg

    @property
    def group(self) -> str:
        """The group that the task was enqueued for; empty if there was none."""
        return self._message.group_key

    @property
    def payload(self) -> bytes:
        """The payload as it was enqueued."""
        return self._message.payload

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the task."""
        return self._message.headers

    @property
    def deadline(self) -> datetime | None:
        """The instant at which this run is stopped; None without a time limit."""
        return from_unix(self._deadline_at)

    @property
    def time_left(self) -> timedelta | None:
        """The time until the deadline, never negative; None without a time limit."""
        if not self._deadline_at:
            return None
        left = self._ends_at - monotonic() if self._ends_at else self._deadline_at - time()
        return timedelta(seconds=max(0.0, left))

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Report the progress of the task.

        Frequent calls are cheap, because only the newest report is written, a few times a second at most. A number that
        is not finite counts as unknown. Raises OptionError if a value is not a number.
        """
        known = None if total is None else _number("total", total)
        self.has_reported = True
        self._reporter.progress(self, _number("done", done) or 0, known, str(text))

    def log(self, text: str) -> None:
        """Add a line to the log that is stored with the task. A full log drops its oldest lines."""
        self.has_reported = True
        self._reporter.log(self, str(text))

    def begin(self, deadline_at: float, ends_at: float = 0.0) -> None:
        """Start the time limit of this run, or restart it after a wait for a slot. The worker calls this."""
        self._deadline_at, self._ends_at = deadline_at, ends_at

    def cancel(self, reason: str = "") -> None:
        """Mark this run as cancelled. The worker calls this; it stops coroutines itself."""
        self.cancelled = True
        self.cancel_reason = reason

    def raise_if_cancelled(self) -> None:
        """Raise TaskCancelled if the task was asked to stop.

        A function in a thread calls this where it can stop safely. A coroutine does not have to: it is cancelled.
        """
        if self.cancelled:
            raise TaskCancelled("The task was cancelled while it ran.", reason=self.cancel_reason)

    def __reduce__(self) -> tuple[Any, ...]:
        # Only the message and the deadline are pickled, because the reporter and the state belong to this process.
        return _restored, (self._message.SerializeToString(), self._deadline_at)

    def __repr__(self) -> str:
        return f"<Context {self.type} {self.id} in {self.queue}, retried {self.retried} of {self.max_retry}>"


def _number(name: str, value: Any) -> float | None:
    """Return a number that JSON can express; None for one that is not finite."""
    if isinstance(value, int) and abs(value) < _LARGE:
        return int(value)
    try:
        if isinstance(value, str | bytes | bytearray):
            raise TypeError("a text")
        number = float(value)
    except OverflowError:
        return None
    except (TypeError, ValueError):
        raise OptionError(f"progress({name}=...) is {value!r}, but must be a number.") from None
    return number if isfinite(number) else None


def current() -> Context:
    """Return the context of the running task. Raises RotaError outside of a handler."""
    found = _current.get(None)
    if found is None:
        raise RotaError("No task runs here: current() answers only inside a handler or what a handler calls.")
    return found


def blank(type: str = "", **fields: Any) -> Context:
    """Make a context without a worker, for a direct call or a test."""
    from rota.wire.proto import TaskMessage  # imported late, so that a program that only enqueues skips protobuf

    return Context(TaskMessage(type=type, **fields))


enter = _current.set
leave = _current.reset
peek = _current.get


def _restored(data: bytes, deadline_at: float) -> Context:
    from rota.wire.proto import TaskMessage

    message = TaskMessage.FromString(data)
    here = peek(None)
    # A child process enters the task's context before it unpickles the arguments, and that context has a reporter.
    if here is not None and (here.id, here.queue) == (message.id, message.queue):
        return here
    return Context(message, deadline_at=deadline_at)
