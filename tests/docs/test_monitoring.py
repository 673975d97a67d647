"""The dashboard and the alert rules name only metrics that exist, with labels that these metrics have."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from rota.health import metrics as of_workers
from rota.health.process_status import ProcessStatus
from rota.inspect.prometheus import QueueMetrics, expose
from rota.inspect.queue import QueueSnapshot
from rota.wire.minute import Totals, TypeCounts

FOLDER = Path(__file__).parents[2] / "docs/operations/monitoring"
_NAME = re.compile(r"\brota_\w+")
_SELECTOR = re.compile(r"(rota_\w+)\{([^}]*)\}")
_BY = re.compile(r"by \(([^)]*)\) \((?:[a-z_]+\()*(rota_\w+)")


def known() -> dict[str, set[str]]:
    """The labels of each metric that Rota shows, by its name."""
    sizes = dict.fromkeys(("pending", "active", "scheduled", "retry", "archived", "completed", "aggregating"), 1)
    numbers = dict.fromkeys(("in_aggregation", "orphaned", "groups", "processed", "failed"), 1)
    snapshot = QueueSnapshot(
        queue="q",
        **sizes,
        **numbers,
        processed_total=1,
        failed_total=1,
        paused_at=None,
        is_paused=False,
        latency=timedelta(seconds=1),
        memory_bytes=None,
        taken_at=None,  # type: ignore[arg-type]
        repaired={},
    )
    totals = Totals(TypeCounts({"t": {"n": 1, "succeeded": 1, "w1": 1, "r1": 1}}, {}), 1, 0, {})
    gauges = {"leading": 1.0, "schedules": 1.0, "lateness": 0.1}
    processes = [
        ProcessStatus(worker="w", pid=1, status="active", taken_at=1.0),
        ProcessStatus(worker="s", pid=2, status="active", taken_at=1.0, kind="scheduler", gauges=gauges),
    ]
    texts = (expose([QueueMetrics(snapshot, totals)], 1.0), of_workers.expose(processes, {}, 1.0))
    found: dict[str, set[str]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)


@pytest.fixture(params=["dashboard.json", "alerts.yml"])
def texts(request: pytest.FixtureRequest) -> list[str]:
    text = (FOLDER / request.param).read_text(encoding="utf-8")
    return list(strings(json.loads(text) if request.param.endswith("json") else YAML(typ="safe").load(text)))


def test_only_metrics_that_exist_are_named(texts: list[str]) -> None:
    names = {name for text in texts for name in _NAME.findall(text)}
    assert len(names) > 5
    assert names <= set(known())


def test_only_labels_that_a_metric_has_are_named(texts: list[str]) -> None:
    labels = known()
    for text in texts:
        for name, selector in _SELECTOR.findall(text):
            assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)) <= labels[name], text
        for wanted, name in _BY.findall(text):
            assert set(re.split(r",\s*", wanted)) <= labels[name] | {"instance"}, text


def test_every_metric_of_the_queues_is_described_on_the_page() -> None:
    page = (FOLDER.parent / "metrics.md").read_text(encoding="utf-8")
    shown = {name.removesuffix("_bucket") for name in known() if name.startswith(("rota_queue", "rota_task_"))}
    missing = {name for name in shown if f"`{name}`" not in page and f"`{name}{{" not in page}
    assert not {name for name in missing if not name.startswith(("rota_tasks_", "rota_task_types"))}
