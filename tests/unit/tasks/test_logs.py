"""What becomes of log lines, whatever the app has configured."""

import contextlib
import logging
import logging.config
import sys
from collections.abc import Callable, Iterator

import pytest

from rota.tasks import logs
from rota.tasks.logs import TaskLogFilter

LOGGERS = ("", "rota", "rota.worker", "shop", "shop.mail")


@contextlib.contextmanager
def fresh_logging() -> Iterator[None]:
    """Give the block the logging of a program that has just started, with Rota imported."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(each.handlers[:], each.filters[:], each.level, each.disabled, each.propagate) for each in loggers]
    for logger in loggers:
        logger.handlers[:], logger.disabled, logger.propagate = [], False, True
        logger.setLevel(logging.WARNING if logger.name == "root" else logging.NOTSET)
    try:
        yield
    finally:
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
