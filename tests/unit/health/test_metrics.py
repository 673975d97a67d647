"""What Prometheus collects."""

import sys
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rota.health.endpoints import Answers
from rota.health.metrics import expose
from rota.health.process_status import MOST_TYPES, Counters, ProcessStatus

NOW = 1000.0
ONE = ProcessStatus(
    worker="w",
    pid=7,
    status="active",
    taken_at=NOW,
    beat_at=NOW - 3,
    turned_at=NOW - 0.5,
    slots=5,
    used=2,
    held=3,
    wake_up="tracking",
    unknown_types={"no:such": 4},
    counts={
        "taken": 10,
        "outcome:retry": 2,
        "sweep:crashed": 1,
        "heartbeat:lost": 6,
        "loop_watchdog:blocked_seconds": 1.5,
    },
)


def read(text: str) -> dict[str, float]:
    return {
        sample.name + "".join(f"/{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_numbers_are_sums_over_the_processes() -> None:
    counters = Counters()
    both = [ONE, replace(ONE, pid=8, beat_at=NOW - 4)]

    found = read(expose(both, counters.total(both), NOW))

    assert found["rota_processes"] == found["rota_processes_ready"] == 2
    assert (found["rota_slots"], found["rota_slots_used"], found["rota_tasks_held"]) == (10, 4, 6)
    assert found["rota_tasks_taken_total"] == 20
    assert found["rota_outcomes_total/retry"] == 4
    assert found["rota_unknown_tasks_total/no:such"] == 8
    assert found["rota_leases_lost_total"] == 12
    assert found["rota_loop_blocked_seconds_total"] == 3
    assert found["rota_heartbeat_age_seconds"] == 4
    assert found["rota_wake_up/tracking"] == 2
    assert found["rota_part_events_total/crashed/sweep"] == 2


def test_what_an_ended_process_had_counted_stays_counted() -> None:
    counters = Counters()
    counters.count("process_crashes")
    counters.count("returned:pending", 3)
    counters.ended(ONE)

    found = read(expose([], counters.total([]), NOW))

    assert (found["rota_tasks_taken_total"], found["rota_process_crashes_total"]) == (10, 1)
    assert found["rota_tasks_returned_total/pending"] == 3
    assert not [name for name in found if name.startswith("rota_part_events_total/returned")]
    assert (found["rota_live"], found["rota_ready"]) == (1, 0)


def test_labels_of_unknown_types_stay_few_and_do_not_change_while_processes_are_replaced() -> None:
    counters = Counters()
    labels: list[set[str]] = []
    for generation in range(10):
        types = {f"type-{generation}-{number}": 1 for number in range(MOST_TYPES)}
        counters.ended(replace(ONE, unknown_types=types))
        labels.append({name for name in counters.total([]) if name.startswith("unknown:")})
    assert labels[1] == labels[-1]
    assert len(labels[-1]) == MOST_TYPES + 1
    assert sum(count for name, count in counters.total([]).items() if name in labels[-1]) == 10 * MOST_TYPES


def test_other_paths_are_named_to_who_asks_for_one_that_is_not_there() -> None:
    answer = Answers(list)("/nowhere")

    assert answer.status == 404
    assert "/live, /ready" in answer.text


def test_without_the_library_the_answer_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "rota.health.metrics")
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    answers = Answers(list)

    assert answers("/metrics").status == 501
    assert "pip install rota[metrics]" in answers("/metrics").text
    assert answers("/live").status == 200


def test_the_port_names_no_task_and_the_socket_of_the_user_names_the_one_that_blocks() -> None:
    blocked = replace(ONE, turned_at=NOW - 5, blocked_by="task jane@example.org (a:b) in queue q", queues=["of-jane"])
    answers = Answers(lambda: [blocked], clock=lambda: NOW)

    public = "".join(answers(path).text for path in ("/live", "/ready", "/metrics", "/vitals", "/"))

    assert "jane" not in public
    assert "been blocked for 5.0 s\n" in answers("/live").text
    assert "by task jane@example.org" in answers("/live", named=True).text
    assert answers("/vitals").status == 404
