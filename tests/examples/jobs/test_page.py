"""The page on the jobs names every task, argument and setting."""

import re

import pytest

from examples.jobs import app
from examples.jobs.settings import PREFIX, JobSettings
from rota.tasks.handler import Handler
from rota.tasks.type_record import describe
from scripts.tree import ROOT

PAGE = (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8")


def test_page_has_the_tasks_of_the_app() -> None:
    rows = re.findall(r"^\| `([a-z]+:[a-z]+)` \|", PAGE, re.MULTILINE)

    assert sorted(rows) == sorted(handler.type for handler in app.registry)


@pytest.mark.parametrize("handler", app.registry, ids=lambda handler: handler.type)
def test_page_has_the_arguments_of_each_task(handler: Handler) -> None:
    [row] = re.findall(rf"^\| `{handler.type}` \|.*", PAGE, re.MULTILINE)
    record = describe(handler)

    assert record.schema is not None
    assert record.doc
    arguments = re.sub(r"\([^)]*\)", "", row.split("|")[3])  # the defaults are in parentheses
    assert re.findall(r"`([a-z_]+)`", arguments) == list(record.schema["properties"])


def test_page_has_the_settings() -> None:
    rows = re.findall(r"^\| `JOBS_([A-Z_]+)` \|", PAGE, re.MULTILINE)

    assert sorted(rows) == sorted(name.upper() for name in JobSettings.model_fields)
    assert PREFIX == "JOBS_"
