"""No option is only stored: each changes what is sent, or how a task is run."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rota import Rota
from rota.client import packing
from rota.client.packing import Packer
from rota.tasks.handler import Handler
from rota.tasks.job import Plan
from rota.tasks.options import NAMES, EnqueueOptions, Options, TaskOptions
from rota.tasks.policy import Debounce
from rota.wire.keys import Keys

LATER = datetime.now(UTC) + timedelta(days=1)
SAID: dict[str, Any] = {
    "queue": "low",
    "max_retry": 3,
    "timeout": "5s",
    "deadline": LATER,
    "process_at": LATER,
    "delay": "5s",
    "task_id": "mine",
    "unique": "1h",
    "retention": "1h",
    "group": "g",
    "headers": {"a": "b"},
    "debounce": Debounce("k", "5s"),
}


def sent(monkeypatch: pytest.MonkeyPatch, **words: Any) -> tuple[str, list[Any], list[Any]]:
    monkeypatch.setattr(packing, "new_task_id", lambda: "made")
    _, call = Packer(Keys()).single(Plan("t", b"{}", Options.of(**words)))
    return call.script.name, list(call.keys), list(call.args)


def test_every_option_is_known_here() -> None:
    assert SAID.keys() == set(NAMES) == set(EnqueueOptions.__annotations__)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_of_an_enqueue_changes_what_is_sent(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert sent(monkeypatch, **{name: SAID[name]}) != sent(monkeypatch)


RUN: dict[str, Any] = {
    "run": "loop",
    "retry": 3,
    "concurrency": 2,
    "on_success": lambda context, result: None,
    "on_failure": lambda context, error: None,
    "on_exhausted": lambda context, error: None,
    "result": bytes,
}


def job() -> None:
    pass


def made(name: str = "test:job", **words: Any) -> tuple[Any, ...]:
    app = Rota()
    app.task(name, **words)(job)
    handler = app.find_handler(name)
    assert isinstance(handler, Handler)
    return handler.run, handler.retry, handler.concurrency, handler.hooks, handler.options, handler.signature.returns


@pytest.mark.parametrize("name", sorted(TaskOptions.__annotations__.keys() - {"lint"}))
def test_every_keyword_of_a_task_changes_its_handler(name: str) -> None:
    assert made(**{name: {**SAID, **RUN}[name]}) != made()
