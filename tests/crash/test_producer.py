"""A producer writes down what its client sent again, because the checker excuses second runs by it."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rota.app import Rota
from rota.tasks.job import Plan
from tests.crash.ledger import Ledger, Writer
from tests.crash.producer import accept, insist
from tests.crash.proxy import Proxy
from tests.servers.process import Server

Enqueue = Callable[[Rota, Writer, list[Plan[Any]]], int]


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    server = Server().start()
    proxy = Proxy(server.port)
    yield proxy
    proxy.close()
    server.stop()


@pytest.mark.parametrize("enqueue", [accept, insist])
def test_tasks_that_the_client_sent_again_are_noted(proxy: Proxy, tmp_path: Path, enqueue: Enqueue) -> None:
    ledger = Ledger(tmp_path)
    note = ledger.writer()
    with closing(Rota(proxy.url, settings={"response_timeout": "300ms"})) as app:
        assert enqueue(app, note, [app.plan("crash:loop", task_id="before")]) == 1
        with proxy.swallowing():  # the connection that is open now stays deaf
            pass
        assert enqueue(app, note, [app.plan("crash:loop", task_id=name) for name in ("one", "two")]) == 2
    note.close()
    history = ledger.read()
    assert (set(history.accepted), history.repeated) == ({"before", "one", "two"}, {"one", "two"})
