"""Commands that read print what their files hold, at 80 and 200 columns, in English and Chinese."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from rich.cells import cell_len

from rota.cli import cron_command, output, queue_command, server_command, stats_command
from rota.cli.inspecting import fact_text
from rota.inspect import (
    BrokerSnapshot,
    DaySnapshot,
    GroupSnapshot,
    NodeSnapshot,
    Overview,
    QueueSnapshot,
    Rate,
    ReplicaSnapshot,
    SchedulerEntrySnapshot,
    ServerSnapshot,
    SlowCommand,
)
from rota.inspect.broker_snapshot import ClusterSnapshot
from rota.inspect.judgement import judge_node, judge_whole
from tests.unit.cli.snapshot import NOW, Show, compare, in_each_terminal, printed

QUEUE = QueueSnapshot(
    queue="mail:newsletter",
    pending=1204,
    active=8,
    scheduled=30,
    retry=2,
    archived=41,
    completed=0,
    aggregating=5,
    in_aggregation=3,
    orphaned=1,
    groups=2,
    processed=90_120,
    failed=12,
    processed_total=5_000_000,
    failed_total=1_200,
    paused_at=None,
    is_paused=False,
    latency=timedelta(minutes=3, seconds=4),
    memory_bytes=5_600_000,
    taken_at=NOW,
)
PAUSED = replace(
    QUEUE,
    queue="报表",
    pending=0,
    latency=timedelta(0),
    is_paused=True,
    paused_at=NOW - timedelta(hours=2),
    memory_bytes=None,
)
SERVERS = tuple(
    ServerSnapshot(
        id=name,
        host="web-01.example.internal",
        pid=4000 + number,
        concurrency=10,
        queues={"mail:newsletter": 1},
        strict_priority=False,
        status="active",
        started_at=NOW - timedelta(days=2),
        active=4,
        running=(),
    )
    for number, name in enumerate(("rota-1", "5d1c"))
)
NODE = NodeSnapshot(
    address="10.0.0.5:6379",
    product="Valkey",
    version="8.1.0",
    role="master",
    uptime=timedelta(days=12),
    memory_bytes=3_700_000_000,
    memory_peak_bytes=3_900_000_000,
    memory_limit_bytes=4_000_000_000,
    eviction_policy="allkeys-lru",
    append_only=False,
    saves_snapshots=True,
    clients=42,
    most_clients=10_000,
    commands_per_second=5_100,
    keys=1_310_000,
    replicas=(ReplicaSnapshot("10.0.0.6:6379", "online", timedelta(seconds=30)),),
    slow=(SlowCommand(NOW - timedelta(minutes=4), timedelta(milliseconds=812), "KEYS", "*"),),
)
BROKER = BrokerSnapshot(mode="single", nodes=(replace(NODE, facts=judge_node(NODE, NOW)),))
SEEN = Overview(queues=(QUEUE, PAUSED), servers=SERVERS, broken={"odd": "WRONGTYPE"}, taken_at=NOW)
ENTRIES = [
    SchedulerEntrySnapshot(
        id=f"1f0c9e1a-7f6e-4a57-9d3c-6ac4f1b0e2d{number}",
        spec=spec,
        task_type="report:daily",
        payload='{"格式": "pdf"}'.encode(),
        options=('Queue("low")', "MaxRetry(3)"),
        next_at=None if pause == "held" else NOW + timedelta(hours=2),
        previous_at=None,
        scheduler=f"h:1:{scheduler}",
        pause=pause,
    )
    for number, (spec, scheduler, pause) in enumerate(
        (
            ("0 3 * * *", "rota-1", ""),
            ("@every 1h", "5d1c", ""),
            ("0 4 * * *", "rota-1", "held"),
            ("0 5 * * *", "rota-1", "paused"),
        )
    )
]


def show_stats() -> None:
    stats_command._show(SEEN, BROKER, {}, as_json=False)


def show_stats_again() -> None:
    stats_command._show(SEEN, BROKER, {"mail:newsletter": Rate(41.25, 0.5)}, as_json=False)


def show_queue() -> None:
    groups = [GroupSnapshot("user:1", 3), GroupSnapshot("user:2", 2)]
    days = [DaySnapshot(date(2026, 1, 31), 90_120, 12), DaySnapshot(date(2026, 1, 30), 0, 0)]
    queue_command._show(QUEUE, groups, days, SEEN)


def show_entries() -> None:
    cron_command._print_entries(ENTRIES)


def show_server() -> None:
    server_command._show(BROKER)


@pytest.fixture(autouse=True)
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "now", lambda: NOW)


@in_each_terminal(show_stats, show_stats_again, show_queue, show_entries, show_server)
def test_output_is_as_in_its_file(show: Show, width: int, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compare(show, width, language, monkeypatch)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("show", [show_entries, lambda: stats_command.print_queues(SEEN, {})])
def test_tables_fit_into_80_columns(show: Show, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(show, 80, language, monkeypatch).splitlines()
    assert max(cell_len(line) for line in lines if "WRONGTYPE" not in line) <= 80


ILL: list[dict[str, Any]] = [
    {"product": None, "slow": None},
    {"loading": True},
    {"role": "replica"},
    {"memory_bytes": None},
    {"memory_limit_bytes": 0},
    {"memory_limit_bytes": 0, "memory_of_machine_bytes": 4_000_000_000},
    {"fragmentation": 2.0},
    {"eviction_policy": None},
    {"eviction_policy": "noeviction"},
    {"eviction_policy": "noeviction", "evicted_keys": 5},
    {"append_only": None},
    {"append_only": True},
    {"append_only_failed": True},
    {"snapshot_failed": True},
    {"saves_snapshots": False},
    {"clients": None},
    {"clients": 9_500},
    {"most_clients": None},
    {"rejected_clients": 3},
    {"slow": ()},
]


def test_each_fact_about_a_server_has_a_translation(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = [fact for ill in ({}, *ILL) for fact in judge_node(replace(NODE, **ill), NOW)]
    for replicas in ((), None, NODE.replicas):
        facts += judge_whole("sentinel", (replace(NODE, replicas=replicas),), None)
    well = ClusterSnapshot(state="ok", nodes=6, masters=3, slots_assigned=16384, slots_ok=16384, slots_failing=0)
    for cluster in (None, well, replace(well, state="fail", slots_ok=0)):
        facts += judge_whole("cluster", (NODE,), cluster)
    monkeypatch.setenv("ROTA_LANG", "en")
    english = [fact_text(fact) for fact in facts]
    monkeypatch.setenv("ROTA_LANG", "zh")
    chinese = [fact_text(fact) for fact in facts]
    same = {en for en, zh in zip(english, chinese, strict=True) if not any("一" <= each <= "鿿" for each in zh)}
    assert same - {"Valkey 8.1.0."} == set()
    assert not [zh for zh in chinese if "The server" in zh or "Allow" in zh]
