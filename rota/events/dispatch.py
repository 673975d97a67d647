"""The way of an event to the log, the counts and the callbacks of subscribers.

Code that notices something emits an event: `emit(LeaseLost(...))`. The steps of `emit`:

1. Log the event, if its logger and level are enabled.
2. Count it, for the metric `rota_events`.
3. Hand it to the thread that calls the callbacks, if there are any.

`emit` never raises, because it is called where an outcome still has to be recorded or a fetch goes on: an error in a
logging filter or handler of the user is printed. Only the KeyboardInterrupt of Ctrl-C passes. A callback can neither
delay nor stop the code that emits: it runs in a thread of its own, and events are dropped while `MOST_WAITING` of them
wait for a callback that hangs.

`TaskStarted` and `TaskEnded` happen for every task. They are not counted, and not even made unless they are logged or
`observed`.
"""

import atexit
import logging
import os
import queue
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar, cast

from rota.core.text import printable
from rota.errors import OptionError
from rota.events.event import Event, TaskEvent

MOST_WAITING = 10_000
"""The most events that wait for callbacks."""
LAST_SECONDS = 2.0
"""How long a worker or a program that ends waits for the callbacks of its last events."""
E = TypeVar("E", bound=Event)
Callback = Callable[[Any], object]
CallbackT = TypeVar("CallbackT", bound=Callable[..., object])


class CallbackFailed(Event):
    """A callback of a subscriber raised an error. Only logged, and not passed to callbacks."""

    level = logging.ERROR
    logger = "rota"
    text = "The callback {callback} failed for the event {event_name}."
    shows_traceback = True
    callback: str
    event_name: str
    error: BaseException


class EventsDropped(Event):
    """An event was not passed to callbacks, because too many wait for one that hangs. Logged once, always counted."""

    level = logging.ERROR
    logger = "rota"
    text = (
        "Events are dropped, because {waiting} wait for callbacks. The callback {callback} has not returned. The work "
        "goes on."
    )
    waiting: int
    callback: str


def emit(event: Event) -> None:
    """Log an event, count it, and pass it to its callbacks. Raises nothing but KeyboardInterrupt."""
    _log(event)
    if event.counted:
        with _lock:
            _counts[type(event).__name__] += 1
    if event.observed:
        _deliveries.put(event)


def counts() -> dict[str, int]:
    """Return how many events of each class this process has emitted."""
    with _lock:
        return dict(_counts)


def subscribe(kind: type[E], callback: Callable[[E], object]) -> Callable[[], None]:
    """Call a function with each event of a class, or of the classes below it. Returns a function that ends this.

    The callback runs in a thread for callbacks, one event after the other, soon after the event. It gets the events of
    all workers and clients in this process. Its errors are logged.
    """
    global _callbacks
    item = (kind, callback)
    with _lock:
        _callbacks = (*_callbacks, item)
        _observe()

    def end() -> None:
        global _callbacks
        with _lock:
            _callbacks = tuple(each for each in _callbacks if each is not item)
            _observe()

    return end


def on(*kinds: type[Event]) -> Callable[[CallbackT], CallbackT]:
    """Subscribe a function to events of these classes: `@on(TaskArchived, LeaseLost)`.

    The function gets the events of all workers and clients in this process, one after the other, in a thread for
    callbacks. It can neither delay nor stop a worker: its errors are logged, and events are dropped while 10,000 of
    them wait for it. Raises OptionError for classes that are not events, and for an async function.
    """
    for kind in cast("tuple[object, ...]", kinds) or ("no class",):
        if not (isinstance(kind, type) and issubclass(kind, Event)):
            raise OptionError(f"on() needs classes of events, as in @on(TaskArchived), and not {kind!r}.")
    # A class below another one of them is left out, because its events would be passed twice.
    outermost = {kind for kind in kinds if not any(kind is not each and issubclass(kind, each) for each in kinds)}

    def register(callback: CallbackT) -> CallbackT:
        from inspect import iscoroutinefunction  # imported late: programs that only enqueue may do without

        is_async = iscoroutinefunction(callback) or iscoroutinefunction(getattr(callback, "__call__", None))  # noqa: B004
        if not callable(callback) or is_async:
            raise OptionError(f"on() needs a plain function, because it runs in a thread, and not {callback!r}.")
        for kind in outermost:
            subscribe(kind, callback)
        return callback

    return register


def flush(within_seconds: float) -> bool:
    """Wait until the callbacks have got all events so far; return whether they have."""
    return _deliveries.flush(within_seconds)


def _observe() -> None:
    kinds = [Event]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
        kind.observed = any(issubclass(kind, each) or issubclass(each, kind) for each, _ in _callbacks)


def _log(event: Event) -> None:
    """Log an event. An error in a filter or handler of the user is printed."""
    try:
        _write(event)
    except KeyboardInterrupt:
        raise  # Ctrl-C in a program that only enqueues
    except BaseException:
        if logging.raiseExceptions and sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]
            traceback.print_exc()


def _write(event: Event) -> None:
    logger, level = logging.getLogger(event.logger), event.severity()
    if not logger.isEnabledFor(level):
        return
    error, trace = event.cause()
    cause = None if error is None else (type(error), error, error.__traceback__)
    text = printable(event.message())
    record = logger.makeRecord(logger.name, level, __file__, 0, text, (), cause, "emit", sinfo=event.stack())
    record.exc_text = trace or None  # a formatter uses this text instead of formatting the traceback
    vars(record)["rota_event"] = event
    if isinstance(event, TaskEvent):
        # A format may print these fields, so they have no line feeds either.
        for name in TaskEvent.fields:
            value = vars(event)[name]
            vars(record).setdefault(name, printable(value) if isinstance(value, str) else value)
    logger.handle(record)


class _Deliveries:
    """The events that wait for callbacks, and the thread that calls the callbacks."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Event] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._running: Callback | None = None
        self._reported = False
        self.hangs = False
        """Whether the callbacks did not end in the time of the last wait for them."""

    def put(self, event: Event) -> None:
        if threading.current_thread() is self._thread:
            return  # an event that a callback causes is only logged: the callback might cause it again, for ever
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            with _lock:
                _counts[EventsDropped.__name__] += 1
            if not self._reported:
                self._reported = True
                _log(EventsDropped(waiting=MOST_WAITING, callback=_name(self._running)))
        if self._thread is None:
            self._begin()

    def _begin(self) -> None:
        with _lock:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._run, name="rota-events", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return  # the interpreter ends, or the system has no more threads: the next event tries again
            self._thread = thread
            # A program may end right after an event. A forked process may have registered this already.
            atexit.unregister(_at_exit)
            atexit.register(_at_exit)

    def flush(self, within_seconds: float) -> bool:
        done = self._waiting.all_tasks_done
        with done:
            ended = done.wait_for(lambda: not self._waiting.unfinished_tasks, within_seconds)
        self.hangs = not ended and within_seconds > 0
        return ended

    def _run(self) -> None:
        while True:
            event = self._waiting.get()
            for kind, callback in _callbacks:
                if isinstance(event, kind):
                    self._call(callback, event)
            self._waiting.task_done()

    def _call(self, callback: Callback, event: Event) -> None:
        self._running = callback
        try:
            callback(event)
        except BaseException as error:  # also a `sys.exit()`, which would end this thread
            _log(CallbackFailed(callback=_name(callback), event_name=type(event).__name__, error=error))


def _name(callback: object) -> str:
    try:
        return str(getattr(callback, "__qualname__", None) or repr(callback))
    except Exception:  # code of the user
        return type(callback).__name__


def _at_exit() -> None:
    if not _deliveries.hangs:  # else a worker that has ended in this process has waited already
        flush(LAST_SECONDS)


def _after_fork() -> None:
    """Begin anew in a forked process: threads do not survive a fork, and another thread may have held the lock."""
    global _lock, _deliveries
    _lock, _deliveries = threading.RLock(), _Deliveries()
    _counts.clear()


_lock = threading.RLock()
"""Can be taken twice by one thread, because a signal handler may enqueue while its thread emits."""
_counts: Counter[str] = Counter()
_callbacks: tuple[tuple[type[Event], Callback], ...] = ()
_deliveries = _Deliveries()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
