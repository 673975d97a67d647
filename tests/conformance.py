"""The conformance suite: every test that asks for a server (`redis_url`, `any_url`), on the deployment of `--on`.

Without `--on` a test runs on Redis, and where it asks for `any_url` on Valkey too.
"""

from collections import Counter

import pytest

DEPLOYMENTS = ("redis", "redis62", "valkey", "sentinel", "cluster", "acl")
URL_FIXTURES = {"redis_url", "any_url"}

# What is the same everywhere: it is about processes and signals, and passes wherever the rest of the suite does.
PROCESSES = (
    "tests/integration/cli/",
    "tests/integration/health/",
    "tests/integration/supervisor/test_death.py",
    "tests/integration/supervisor/test_fleet_size.py",
    "tests/integration/supervisor/test_forks.py",
    "tests/integration/supervisor/test_kinds.py",
    "tests/integration/supervisor/test_leases.py",
    "tests/integration/supervisor/test_stop.py",
    "tests/integration/worker/test_turns.py",
    "tests/integration/worker/test_warm.py",
)

# The oldest server that is supported runs the tests that are not slow and do not need Go.
QUICK_ONLY = {"redis62"}

# What has no meaning on a deployment: the test without its parameters (or the file, for all of it), where, and why.
ELSEWHERE: list[tuple[str, set[str], str]] = [
    (
        "tests/integration/client/test_faults.py",
        {"sentinel", "cluster"},
        "its proxy loses replies before the socket of one server, and nobody would be sent to it",
    ),
    (
        "tests/integration/inspect/test_bulk.py::test_lost_replies_leave_no_task_half_done_and_count_none_as_failed",
        {"sentinel", "cluster"},
        "its proxy loses replies before the socket of one server, and nobody would be sent to it",
    ),
    (
        "tests/integration/inspect/test_kept_deletions.py::test_lost_replies_lose_no_task",
        {"sentinel", "cluster"},
        "its proxy loses replies before the socket of one server, and nobody would be sent to it",
    ),
    (
        "tests/integration/inspect/test_rights.py::test_a_read_only_replica_is_enough",
        {"redis62", "valkey", "sentinel", "cluster", "acl"},
        "its replica is one of the shared Redis",
    ),
    (
        "tests/integration/client/test_enqueue.py::test_another_key_prefix_is_another_world",
        {"acl"},
        "the users of the page have the keys of Asynq's prefix alone",
    ),
    (
        "tests/integration/wire/test_minute.py::test_what_ends_without_a_run_is_not_taken_for_the_work_of_others",
        {"acl"},
        "the users of the page have the keys of Asynq's prefix alone",
    ),
    (
        "tests/integration/worker/test_own_faults.py::test_who_listens_does_so_again_although_the_way_back_failed_once",
        {"cluster", "acl"},
        "it ends connections over one that is there already: of one node, and with a right that no role has",
    ),
    *(
        (
            f"tests/interop/test_commands.py::{name}",
            {"sentinel", "cluster"},
            "Asynq's tool knows no Sentinel, and shows other tables of a Cluster",
        )
        for name in (
            "test_numbers_of_queues_are_those_of_the_tool",
            "test_listed_tasks_are_those_of_the_tool",
            "test_entries_and_their_history_are_those_of_go",
        )
    ),
    *(
        (test_id, {"cluster"}, "weights and strict order hold within a node of a Cluster")
        for test_id in (
            "tests/integration/worker/test_waking.py::test_weighted_queues_are_drained_in_proportion",
            "tests/integration/worker/test_waking.py::test_strict_queues_are_drained_in_order",
            "tests/interop/test_worker_queues.py::test_strict_queues_of_go_are_emptied_in_order",
        )
    ),
    (
        "tests/integration/worker/test_waking.py::"
        "test_first_task_of_a_new_queue_starts_at_once_where_a_pattern_finds_the_queue",
        {"cluster"},
        "the node that has the names of the queues tells only those who fetch from it; others look every second",
    ),
    (
        "tests/integration/client/test_many.py::test_a_right_that_some_tasks_lack_is_told_of_those_alone",
        {"cluster"},
        "in a Cluster each script names one more key, which this user may not touch",
    ),
    (
        "tests/integration/client/test_path_length.py",
        {"cluster"},
        "in a Cluster four more calls find the node of the slot",
    ),
    ("tests/integration/test_acl.py", {"acl"}, "it makes the users of the page itself"),
    *(
        (
            f"tests/integration/test_acl.py::{test}",
            {"redis62"},
            "the doctor tries rights by a script with flags: Redis 7",
        )
        for test in (
            "test_the_doctor_finds_nothing_missing",
            "test_the_doctor_finds_each_missing_right",
            "test_the_doctor_finds_keys_that_may_not_be_touched",
        )
    ),
    *(
        (test_id, {"redis62"}, "it takes a right to a subcommand away, which came with Redis 7")
        for test_id in (
            "tests/integration/test_acl.py::test_a_worker_does_without_the_optional_rights",
            "tests/integration/worker/test_waking.py::test_worker_polls_when_its_user_has_no_right_to_track",
            "tests/integration/worker/test_groups_in_time.py::test_groups_are_polled_when_the_user_has_no_right_to_track",
        )
    ),
    *(
        (test_id, {"redis62"}, "it asks with EXPIRETIME, which came with Redis 7")
        for test_id in (
            "tests/integration/inspect/test_servers.py::test_a_record_lives_for_ten_seconds",
            "tests/integration/wire/test_fragments.py::test_a_day_counter_lives_ninety_days_from_its_first_count",
            "tests/integration/worker/test_heartbeat.py::test_asynq_s_records_show_the_server_and_what_it_runs",
        )
    ),
]


LEFT_OUT = pytest.StashKey["Counter[tuple[str, str]]"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--on", choices=DEPLOYMENTS, help="run the conformance suite, and only that, on this deployment")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "any_url" in metafunc.fixturenames:
        on = metafunc.config.getoption("--on")
        metafunc.parametrize("any_url", [on] if on else ["redis", "valkey"], indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    on = config.getoption("--on")
    if on is None:
        return
    elsewhere = {test_id: reason for test_id, deployments, reason in ELSEWHERE if on in deployments}
    chosen, left_out = [], []
    for item in items:
        test, _, _ = item.nodeid.partition("[")
        test_id = next((each for each in (test, test.partition("::")[0]) if each in elsewhere), None)
        slow = on in QUICK_ONLY and any(map(item.get_closest_marker, ("slow", "interop")))
        if slow or test.startswith(PROCESSES) or URL_FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
            left_out.append(item)
        elif test_id is not None:
            left_out.append(item)
            config.stash.setdefault(LEFT_OUT, Counter())[test_id, elsewhere[test_id]] += 1
        else:
            chosen.append(item)
    items[:] = chosen
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for (test_id, reason), count in config.stash.get(LEFT_OUT, Counter()).items():
        terminalreporter.write_line(f"not on {config.getoption('--on')} ({count}): {test_id}: {reason}")
