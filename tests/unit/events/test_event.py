"""Events: how they are made, and how they reach the log, the counts and the callbacks."""

import copy
import logging
import logging.handlers
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from textwrap import dedent
from typing import Any

import pytest

from rota import events
from rota.core.text import printable
from rota.errors import OptionError
from rota.events import dispatch
from rota.events.dispatch import MOST_WAITING

ABOUT = events.about_task("one", "email:welcome", "low", 2)
SECONDS = 30.0


def each_kind() -> list[type[events.Event]]:
    kinds = [events.Event]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return [kind for kind in kinds if kind.__module__.startswith("rota.") and not kind.__subclasses__()]


@pytest.fixture(autouse=True)
def no_other_callbacks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(dispatch, "_callbacks", ())
    dispatch._observe()
    yield
    monkeypatch.undo()
    dispatch._observe()


@pytest.fixture
def subscribe() -> Iterator[Callable[[type[events.Event], Callable[[Any], object]], None]]:
    """Subscribe until the test ends."""
    with ExitStack() as stack:
        yield lambda kind, callback: stack.callback(events.subscribe(kind, callback)) and None


def lease_lost() -> events.LeaseLost:
    return events.LeaseLost(**ABOUT)


@pytest.mark.parametrize("kind", each_kind(), ids=lambda kind: kind.__name__)
def test_each_event_says_what_it_means_and_its_text_names_only_its_fields(kind: type[events.Event]) -> None:
    samples: dict[Any, Any] = {int: 3, float: 2.0, str: "does not stop", bool: True, bytes: b"x"}
    values = {
        name: samples.get(of, ValueError("no") if "E" in str(of) else () if "Sequence" in str(of) else {})
        for name, of in kind.fields.items()
    }
    event = kind(**values)

    assert kind.__doc__
    assert event.message()
    assert "{" not in event.message().replace("{}", "")


def test_event_cannot_be_changed_and_equals_another_one_with_the_same_fields() -> None:
    event = lease_lost()

    with pytest.raises(AttributeError, match=r"cannot be changed \(LeaseLost.task_id\)"):
        event.task_id = "two"  # type: ignore[misc]
    assert event == lease_lost()
    assert hash(event) == hash(lease_lost())
    assert event != events.TaskDoesNotEnd(**ABOUT)
    assert repr(event) == "LeaseLost(task_id='one', task_type='email:welcome', queue='low', attempt=3)"


def test_event_without_one_of_its_fields_or_with_a_wrong_one_is_refused() -> None:
    with pytest.raises(TypeError, match=r"LeaseLost needs its field task_type\."):
        events.LeaseLost(task_id="one")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"LeaseLost has no field colour\."):
        events.LeaseLost(**ABOUT, colour="red")  # type: ignore[call-arg]


def test_event_is_one_line_of_the_log_with_the_fields_of_its_task(caplog: pytest.LogCaptureFixture) -> None:
    about = events.about_task("a\n2026 ERROR forged", "t\x1b[31m", "low", 0)

    events.emit(events.LeaseLost(**about))

    (record,) = caplog.records
    assert record.getMessage() == (
        "Lost the lease of task a\\n2026 ERROR forged (t\\x1b[31m): its run here is stopped."
    )
    assert (record.name, record.levelname) == ("rota.worker", "ERROR")
    assert vars(record)["task_type"] == "t\\x1b[31m"
    assert vars(record)["attempt"] == 1


def test_percent_sign_in_a_name_is_not_a_format(caplog: pytest.LogCaptureFixture) -> None:
    events.emit(events.QueueServedAgain(queue="%s {queue}"))

    assert caplog.messages == ["Queue %s {queue} is served again."]


def test_error_in_a_logging_filter_does_not_reach_the_code_that_emits(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(record: logging.LogRecord) -> bool:
        raise SystemExit("a filter of the user")

    logging.getLogger("rota.worker").addFilter(refuse)
    try:
        events.emit(lease_lost())
    finally:
        logging.getLogger("rota.worker").removeFilter(refuse)
    assert "a filter of the user" in capsys.readouterr().err


def test_ctrl_c_while_an_event_is_logged_reaches_the_program() -> None:
    def interrupt(record: logging.LogRecord) -> bool:
        raise KeyboardInterrupt

    logging.getLogger("rota.worker").addFilter(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            events.emit(lease_lost())
    finally:
        logging.getLogger("rota.worker").removeFilter(interrupt)


def test_record_with_an_event_can_be_sent_to_a_program_without_rota(caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("no such user")
    error.lock = threading.Lock()  # type: ignore[attr-defined] - an error that cannot be pickled
    event = events.TaskEnded(**ABOUT, outcome="failed", seconds=0.5, error=error, log_level=logging.ERROR)

    events.emit(event)

    sent = logging.handlers.SocketHandler("localhost", 0).makePickle(caplog.records[0])
    assert b"rota.events" not in sent
    received = pickle.loads(sent[4:])["rota_event"]
    assert received == {
        "event": "TaskEnded",
        **ABOUT,
        "outcome": "failed",
        "seconds": 0.5,
        "final": False,
        "error": "ValueError: no such user",
        "log_level": logging.ERROR,
    }


def test_copy_of_an_event_is_the_event() -> None:
    event = lease_lost()

    assert copy.copy(event) is event
    assert copy.deepcopy(event) is event


def test_event_whose_text_cannot_be_made_does_not_reach_the_code_that_emits(capsys: pytest.CaptureFixture[str]) -> None:
    class Unreadable(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    events.emit(events.SweepRefused(error=Unreadable()))

    assert "no text" in capsys.readouterr().err


def test_events_are_counted_by_their_class() -> None:
    before = events.counts().get("LeaseLost", 0)

    events.emit(lease_lost())
    events.emit(events.TaskStarted(**ABOUT, log_level=10))

    assert events.counts()["LeaseLost"] == before + 1
    assert "TaskStarted" not in events.counts()


def test_signal_handler_can_emit_while_its_thread_emits() -> None:
    def interrupted() -> None:
        with dispatch._lock:
            events.emit(lease_lost())

    thread = threading.Thread(target=interrupted, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_callback_gets_the_events_of_its_class_and_of_the_classes_below(subscribe: Any) -> None:
    seen: list[events.Event] = []
    subscribe(events.TaskEvent, seen.append)

    events.emit(lease_lost())
    events.emit(events.ServerAnswers())

    assert events.flush(SECONDS)
    assert seen == [lease_lost()]


def test_callback_that_has_ended_its_subscription_gets_nothing() -> None:
    seen: list[events.Event] = []
    end = events.subscribe(events.LeaseLost, seen.append)
    assert events.LeaseLost.observed
    end()

    events.emit(lease_lost())

    assert events.flush(SECONDS)
    assert seen == []
    assert not events.LeaseLost.observed


def test_start_and_end_of_runs_are_observed_only_if_a_subscriber_wants_them(subscribe: Any) -> None:
    subscribe(events.TaskArchived, print)
    assert not events.RunEvent.observed

    subscribe(events.TaskEnded, print)
    assert events.RunEvent.observed


def test_function_is_subscribed_to_several_classes() -> None:
    seen: list[events.Event] = []

    @events.on(events.LeaseLost, events.TaskDoesNotEnd)
    def see(event: events.TaskEvent) -> None:
        seen.append(event)

    events.emit(lease_lost())
    events.emit(events.TaskDoesNotEnd(**ABOUT))

    assert events.flush(SECONDS)
    assert [type(event).__name__ for event in seen] == ["LeaseLost", "TaskDoesNotEnd"]


def test_function_that_is_subscribed_to_a_class_and_a_base_of_it_gets_each_event_once() -> None:
    seen: list[events.Event] = []
    events.on(events.LeaseLost, events.TaskEvent, events.LeaseLost)(seen.append)

    events.emit(lease_lost())

    assert events.flush(SECONDS)
    assert seen == [lease_lost()]


@pytest.mark.parametrize("kinds", [(), (ValueError,), ("LeaseLost",)])
def test_subscription_to_something_that_is_no_event_is_refused(kinds: tuple[Any, ...]) -> None:
    with pytest.raises(OptionError, match=r"as in @on\(TaskArchived\)"):
        events.on(*kinds)


def test_async_callback_is_refused() -> None:
    async def late(event: events.Event) -> None: ...

    class Late:
        async def __call__(self, event: events.Event) -> None: ...

    for callback in (late, Late()):
        with pytest.raises(OptionError, match="needs a plain function, because it runs in a thread"):
            events.on(events.LeaseLost)(callback)


def test_callback_that_raises_is_logged_and_the_next_one_gets_the_event(
    subscribe: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(event: events.Event) -> None:
        raise SystemExit("no")

    seen: list[events.Event] = []
    subscribe(events.LeaseLost, fail)
    subscribe(events.LeaseLost, seen.append)

    events.emit(lease_lost())
    events.emit(lease_lost())

    assert events.flush(SECONDS)
    assert len(seen) == 2
    failures = [record for record in caplog.records if record.name == "rota"]
    assert len(failures) == 2
    assert "fail failed for the event LeaseLost." in failures[0].getMessage()
    assert failures[0].exc_info


def test_callback_whose_name_cannot_be_made_does_not_end_the_thread(subscribe: Any) -> None:
    class Nameless:
        def __call__(self, event: events.Event) -> None:
            raise ValueError("no")

        def __repr__(self) -> str:
            raise ValueError("no name")

    seen: list[events.Event] = []
    subscribe(events.LeaseLost, Nameless())
    subscribe(events.LeaseLost, seen.append)

    events.emit(lease_lost())
    events.emit(lease_lost())

    assert events.flush(SECONDS)
    assert len(seen) == 2


def test_events_wait_for_callbacks_while_no_thread_can_be_started(
    subscribe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    seen: list[events.Event] = []
    subscribe(events.LeaseLost, seen.append)
    monkeypatch.setattr(dispatch, "_deliveries", dispatch._Deliveries())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        events.emit(lease_lost())

    events.emit(lease_lost())

    assert events.flush(SECONDS)
    assert len(seen) == 2


def test_callbacks_get_the_events_of_a_program_that_ends_at_once() -> None:
    program = """
        import time
        from rota import events

        events.dispatch.LAST_SECONDS = 30

        @events.on(events.ServerAnswers)
        def late(event):
            time.sleep(0.2)
            print("called", flush=True)

        events.emit(events.ServerAnswers())
    """
    assert output_of(program) == "called\n"


def test_program_waits_only_once_for_a_callback_that_hangs() -> None:
    program = """
        import threading
        from rota import events

        @events.on(events.ServerAnswers)
        def hang(event):
            threading.Event().wait()

        events.emit(events.ServerAnswers())
        assert not events.flush(0.01)
        events.flush = events.dispatch.flush = lambda seconds: print("waits again", flush=True)
    """
    assert output_of(program) == ""


def output_of(program: str) -> str:
    words = [sys.executable, "-c", dedent(program)]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


def test_callback_that_hangs_does_not_delay_the_code_that_emits(
    subscribe: Any, caplog: pytest.LogCaptureFixture
) -> None:
    hangs, go_on = threading.Event(), threading.Event()

    def hang(event: events.Event) -> None:
        hangs.set()
        go_on.wait(SECONDS)

    subscribe(events.QueueServedAgain, hang)
    try:
        caplog.set_level(logging.CRITICAL, "rota.worker")
        caplog.handler.setLevel(logging.ERROR)
        for _ in range(MOST_WAITING + 10):
            events.emit(events.QueueServedAgain(queue="low"))
        assert hangs.wait(SECONDS)
        events.emit(events.QueueServedAgain(queue="low"))
        assert not events.flush(0)
    finally:
        go_on.set()
    assert events.flush(SECONDS)
    (dropped,) = [message for message in caplog.messages if "dropped" in message]
    assert "hang has not returned. The work goes on." in dropped


def test_event_that_a_callback_causes_is_logged_but_not_passed_on(
    subscribe: Any, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[events.Event] = []

    def again(event: events.Event) -> None:
        seen.append(event)
        events.emit(lease_lost())

    subscribe(events.LeaseLost, again)

    events.emit(lease_lost())

    assert events.flush(SECONDS)
    assert len(seen) == 1
    assert len(caplog.records) == 2


def test_error_in_a_logging_filter_does_not_reach_the_code_whose_event_is_dropped(
    subscribe: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hangs, go_on = threading.Event(), threading.Event()

    def hang(event: events.Event) -> None:
        hangs.set()
        go_on.wait(SECONDS)

    def refuse(record: logging.LogRecord) -> bool:
        raise SystemExit("a filter of the user")

    before = events.counts().get("EventsDropped", 0)
    monkeypatch.setattr(dispatch, "MOST_WAITING", 1)
    monkeypatch.setattr(dispatch, "_deliveries", dispatch._Deliveries())
    subscribe(events.ServerAnswers, hang)
    events.emit(events.ServerAnswers())
    assert hangs.wait(SECONDS)
    logging.getLogger("rota").addFilter(refuse)
    try:
        events.emit(events.ServerAnswers())
        events.emit(events.ServerAnswers())
    finally:
        logging.getLogger("rota").removeFilter(refuse)
        go_on.set()
    assert "a filter of the user" in capsys.readouterr().err
    assert events.counts()["EventsDropped"] == before + 1
    assert events.flush(SECONDS)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_process_counts_its_own_events() -> None:
    events.emit(lease_lost())

    child = os.fork()
    if not child:
        events.emit(events.TaskDoesNotEnd(**ABOUT))
        os._exit(0 if events.counts() == {"TaskDoesNotEnd": 1} else 1)

    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_process_calls_its_callbacks_too(subscribe: Any) -> None:
    reader, writer = os.pipe()
    subscribe(events.LeaseLost, lambda event: os.write(writer, event.task_id.encode()))
    events.emit(events.LeaseLost(**{**ABOUT, "task_id": "parent"}))
    assert events.flush(SECONDS)

    child = os.fork()
    if not child:
        events.emit(events.LeaseLost(**{**ABOUT, "task_id": "child"}))
        os._exit(0 if events.flush(SECONDS) else 1)

    assert os.waitpid(child, 0)[1] == 0
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == "parentchild"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain", "plain"), ("a\tb\u2028\udcff\x00", "a\\tb\\u2028\\udcff\\x00"), ("", "")],
)
def test_character_that_cannot_be_printed_is_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown
