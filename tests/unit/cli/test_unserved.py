"""A worker that serves no queue of its own tasks says so."""

from pathlib import Path

import pytest

from rota import Rota
from rota.cli.summary import unserved


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rota:
    monkeypatch.chdir(tmp_path)
    app = Rota()
    app.task("a:b", queue="critical")(lambda: None)
    app.task("a:c")(lambda: None)
    return app


def test_a_queue_that_a_task_names_and_nobody_chose_is_told(app: Rota) -> None:
    (warning,) = unserved(app, app.settings)
    assert "critical. Name them with --queues" in warning


def test_who_chose_the_queues_is_not_warned(app: Rota) -> None:
    assert unserved(app, app.settings.updated(queues="default")) == []
    assert unserved(app, app.settings.updated(queues="crit*")) == []
