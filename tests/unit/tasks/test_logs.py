"""What becomes of log lines, whatever the app has configured."""

import contextlib
import json
import logging
import logging.config
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rota import events
from rota.tasks import context, logs
from rota.tasks.logs import JsonFormatter, TaskLogFilter

LOGGERS = ("", "rota", "rota.worker", "shop", "shop.mail")


@contextlib.contextmanager
def fresh_logging() -> Iterator[None]:
    """Give the block the logging of a program that has just started, with Rota imported."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(each.handlers[:], each.filters[:], each.level, each.disabled, each.propagate) for each in loggers]
    set_up = logs._in_use, logs._own_handler
    for logger in loggers:
        logger.handlers[:], logger.disabled, logger.propagate = [], False, True
        logger.setLevel(logging.WARNING if logger.name == "root" else logging.NOTSET)
    try:
        yield
    finally:
        logs._in_use, logs._own_handler = set_up
        for logger, state in zip(loggers, before, strict=True):
            logger.handlers[:], logger.filters[:] = state[:2]
            logger.setLevel(state[2])
            logger.disabled, logger.propagate = state[3:]


def nothing() -> None:
    """An app that configures no logging."""


def basic() -> None:
    logging.basicConfig(stream=sys.stderr, format="MINE %(levelname)s %(name)s %(message)s")


def basic_debug() -> None:
    logging.basicConfig(stream=sys.stderr, format="MINE %(levelname)s %(name)s %(message)s", level="DEBUG")


def dictionary() -> None:
    """What most tutorials show: it disables all loggers that exist already."""
    logging.config.dictConfig(
        {
            "version": 1,
            "formatters": {"mine": {"format": "MINE %(levelname)s %(name)s %(message)s"}},
            "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "mine"}},
            "root": {"level": "WARNING", "handlers": ["console"]},
        }
    )


def only_its_own() -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "formatters": {"mine": {"format": "MINE %(levelname)s %(name)s %(message)s"}},
            "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "mine"}},
            "loggers": {"shop": {"level": "INFO", "handlers": ["console"]}},
        }
    )


def quiet_rota() -> None:
    basic()
    logging.getLogger("rota").setLevel("ERROR")


@pytest.mark.parametrize(
    ("configure", "level", "said"),
    [
        (nothing, None, ["INFO rota.worker: a", "INFO shop.mail: b", "WARNING other: c"]),
        (nothing, "debug", ["INFO rota.worker: a", "DEBUG rota.worker: d", "INFO shop.mail: b", "WARNING other: c"]),
        (nothing, "error", []),
        (basic, None, ["MINE INFO rota.worker a", "MINE WARNING other c"]),
        (basic, "warning", ["MINE WARNING other c"]),
        (basic_debug, None, ["MINE INFO rota.worker a", "MINE INFO shop.mail b", "MINE WARNING other c"]),
        (dictionary, None, ["MINE INFO rota.worker a", "MINE WARNING other c"]),
        (dictionary, "debug", ["MINE INFO rota.worker a", "MINE DEBUG rota.worker d", "MINE WARNING other c"]),
        (only_its_own, None, ["INFO rota.worker: a", "MINE INFO shop.mail b", "WARNING other: c"]),
        (quiet_rota, None, ["MINE WARNING other c"]),
        (quiet_rota, "info", ["MINE INFO rota.worker a", "MINE WARNING other c"]),
    ],
)
def test_the_app_decides_how_lines_look_and_the_level_of_rota_is_obeyed(
    configure: Callable[[], None], level: logs.LogLevel | None, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with fresh_logging():
        configure()
        logs.set_up(level)
        logging.getLogger("rota.worker").info("a")
        logging.getLogger("rota.worker").debug("d")
        for name in ("shop", "shop.mail", "other"):
            logging.getLogger(name).disabled = False  # an app that disables its own loggers means it
        logging.getLogger("shop.mail").info("b")
        logging.getLogger("other").warning("c")

    lines = capsys.readouterr().err.splitlines()
    assert sorted(line if line.startswith("MINE") else _short(line) for line in lines) == sorted(said)


def _short(line: str) -> str:
    """Take time and process from a line of Rota's own format."""
    _, _, level, _, rest = line.split(" ", 4)
    return f"{level} {rest}"


def test_the_handlers_of_the_app_get_records_with_the_fields_of_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    with fresh_logging():
        logging.basicConfig(stream=sys.stderr, format="[%(task_id)s%(task_type)s%(queue)s%(attempt)s] %(message)s")
        logs.set_up(None)
        logging.getLogger("rota.worker").info("outside of any task")

    assert capsys.readouterr().err == "[] outside of any task\n"


def test_handlers_that_the_lifespan_configures_get_the_fields_of_the_task_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with fresh_logging():
        logs.set_up(None)
        logging.basicConfig(stream=sys.stderr, format="[%(task_id)s] %(message)s", force=True)
        logs.restore()
        logs.restore()

        logging.getLogger("shop").warning("hello")

        assert len(logging.getLogger().handlers[0].filters) == 1
    assert capsys.readouterr().err == "[] hello\n"


def test_a_field_that_the_record_has_already_stays_as_it_is() -> None:
    record = logging.makeLogRecord({"task_id": "mine"})

    assert TaskLogFilter().filter(record)
    assert vars(record)["task_id"] == "mine"
    assert vars(record)["queue"] == ""


def test_names_that_a_format_takes_from_a_record_are_on_one_line() -> None:
    assert logs.task_fields("a\nb", "t\rt", "q\x1b", 0) == {
        "task_id": "a\\nb",
        "task_type": "t\\rt",
        "queue": "q\\x1b",
        "attempt": 1,
    }


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_has_one_object_for_each_event_with_its_name_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    about = events.about_task("one\ntwo", "email:welcome", "low", 2)
    with fresh_logging():
        logs.set_up(None, "json")
        events.emit(events.LeaseLost(**about))
        events.emit(events.SweepRefused(error=ValueError("no")))

    lost, refused = lines(capsys.readouterr().err)
    assert str(lost.pop("time")).endswith("+00:00")
    assert lost.pop("process")
    assert lost == {
        "level": "ERROR",
        "logger": "rota.worker",
        "message": "Lost the lease of task one\\ntwo (email:welcome): its run here is stopped.",
        "event": "LeaseLost",
        "task_id": "one\ntwo",
        "task_type": "email:welcome",
        "queue": "low",
        "attempt": 3,
    }
    assert refused["error"] == "ValueError: no"


def test_no_field_of_an_event_has_the_name_of_another_part_of_the_json() -> None:
    parts = {"time", "level", "logger", "message", "process", "event", "exception", "stack"}
    kinds: list[type[events.Event]] = [events.Event]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert [kind for kind in kinds if parts & kind.fields.keys()] == []


def test_json_of_a_record_that_a_task_logs_has_the_fields_of_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    entered = context.enter(context.blank("email:welcome", id="one", queue="low", retried=1))
    try:
        with fresh_logging():
            logs.set_up(None, "json")
            logging.getLogger("shop").info("to %s", "ann", extra={"amount": 7, "parts": [1.5, float("inf"), object]})
    finally:
        context.leave(entered)

    (shown,) = lines(capsys.readouterr().err)
    assert {name: shown[name] for name in ("message", "task_id", "task_type", "queue", "attempt", "amount")} == {
        "message": "to ann",
        "task_id": "one",
        "task_type": "email:welcome",
        "queue": "low",
        "attempt": 2,
        "amount": 7,
    }
    assert shown["parts"] == [1.5, "inf", "<class 'object'>"]


def test_json_outside_of_a_task_has_no_fields_of_a_task(capsys: pytest.CaptureFixture[str]) -> None:
    with fresh_logging():
        logs.set_up(None, "json")
        logging.getLogger("shop").info("hello")

    (shown,) = lines(capsys.readouterr().err)
    assert set(shown) == {"time", "level", "logger", "message", "process"}


def test_json_has_the_traceback_on_its_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    class Odd:
        def __str__(self) -> str:
            raise ValueError("no text")

    with fresh_logging():
        logs.set_up(None, "json")
        try:
            raise KeyError("gone")
        except KeyError:
            logging.getLogger("shop").exception("it failed", extra={"odd": Odd()})

    (shown,) = lines(capsys.readouterr().err)
    assert "Traceback" in str(shown["exception"])
    assert "KeyError: 'gone'" in str(shown["exception"])
    assert shown["odd"] == "<Odd without a text>"


def test_json_replaces_the_format_of_the_app_on_standard_error_only(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with fresh_logging():
        basic()
        file = logging.FileHandler(tmp_path / "log")
        logging.getLogger().addHandler(file)
        logs.set_up("info", "json")
        logging.getLogger("shop").warning("hello")
        file.close()

    assert lines(capsys.readouterr().err)[0]["message"] == "hello"
    assert (tmp_path / "log").read_text() == "hello\n"


def test_json_is_kept_when_the_lifespan_configures_logging(capsys: pytest.CaptureFixture[str]) -> None:
    with fresh_logging():
        logs.set_up(None, "json")
        dictionary()
        logs.restore()
        logging.getLogger("rota.worker").warning("hello")
        logs.set_up(None)

    assert lines(capsys.readouterr().err)[0]["message"] == "hello"


def test_logging_can_be_set_up_again_with_another_format(capsys: pytest.CaptureFixture[str]) -> None:
    with fresh_logging():
        logs.set_up(None)
        logs.set_up(None, "json")
        logging.getLogger("shop").info("hello")
        logs.set_up(None)
        logging.getLogger("shop").info("again")

    first, second = capsys.readouterr().err.splitlines()
    assert json.loads(first)["message"] == "hello"
    assert second.endswith("shop: again")


def test_formatter_can_be_named_in_a_configuration() -> None:
    record = logging.LogRecord("shop", logging.INFO, "", 0, "%d parts", (3,), None)

    assert json.loads(JsonFormatter().format(record))["message"] == "3 parts"
