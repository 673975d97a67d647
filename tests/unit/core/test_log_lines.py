"""A record is one line, whatever names other programs chose."""

import logging
import re

import pytest

from rota.core.log_lines import LOGGERS, printable
from rota.tasks.logs import task_fields
from scripts.tree import ROOT, project_files


def test_every_logger_of_rota_writes_one_line_for_each_record(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for name in LOGGERS:
            logging.getLogger(name).info("Task %s: %s", "a\n2026 ERROR forged", ValueError("b\r\x1b[31m"))
    assert caplog.messages == ["Task a\\n2026 ERROR forged: b\\r\\x1b[31m"] * len(LOGGERS)


def test_list_of_loggers_is_complete() -> None:
    used: set[str] = set()
    for path in project_files(".py"):
        place = path.relative_to(ROOT)
        if place.parts[0] != "rota":
            continue
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"^log(?:ger)? = logging.getLogger\((.+?)\)", text, re.MULTILINE):
            used.add(".".join(place.with_suffix("").parts) if name == "__name__" else name.strip('"'))
    assert {"rota.worker", "rota.broker"} < used <= set(LOGGERS)


def test_message_that_is_printable_keeps_its_arguments(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logging.getLogger("rota.worker").info("Task %s of queue %s", "日本", "größe")
    assert caplog.records[-1].args == ("日本", "größe")


def test_record_that_cannot_be_formatted_is_left_to_the_handler(caplog: pytest.LogCaptureFixture) -> None:
    record = logging.LogRecord("rota.worker", logging.INFO, "", 0, "%d", ("x",), None)
    assert logging.getLogger("rota.worker").filter(record)
    assert record.args == ("x",)


def test_names_that_a_format_takes_from_a_record_are_on_one_line() -> None:
    assert task_fields("a\nb", "t\rt", "q\x1b", 0) == {
        "task_id": "a\\nb",
        "task_type": "t\\rt",
        "queue": "q\\x1b",
        "attempt": 1,
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain", "plain"), ("a\tb\u2028\udcff\x00", "a\\tb\\u2028\\udcff\\x00"), ("", "")],
)
def test_character_that_cannot_be_printed_is_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown
