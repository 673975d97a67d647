from datetime import timedelta

from rota.settings.settings import Settings
from rota.supervisor.replacement import MOST_SECONDS, STABLE_SECONDS, Lifetime, RestartBackoff
from tests.unit.clock import Clock


def test_without_limits_a_process_lives_for_ever() -> None:
    assert Lifetime.of(Settings().supervisor).over(10**9, 10**9, 10**12) == ""


def test_each_limit_says_why() -> None:
    settings = Settings(process_max_tasks=100, process_max_age=timedelta(hours=1), process_max_rss_mb=500)
    lifetime = Lifetime.of(settings.supervisor)
    assert lifetime.over(0, 0, 0) == ""
    assert "100 tasks" in lifetime.over(100, 0, 0)
    assert "3600 s old" in lifetime.over(0, 3600, 0)
    assert "500 MiB" in lifetime.over(0, 0, 500 << 20)


def test_where_the_system_does_not_show_the_memory_it_has_no_limit() -> None:
    assert Lifetime.of(Settings(process_max_rss_mb=1).supervisor).over(0, 0, None) == ""


def test_processes_started_together_do_not_end_together() -> None:
    ends = {next(n for n in range(2000) if Lifetime(tasks=1000).over(n, 0, 0)) for _ in range(30)}
    assert len(ends) > 5
    assert min(ends) >= 900
    assert max(ends) <= 1000


def test_the_first_death_is_made_good_at_once() -> None:
    assert RestartBackoff(Clock()).died() == 0


def test_each_further_death_waits_longer_up_to_a_limit_and_never_exactly_alike() -> None:
    backoff = RestartBackoff(Clock())
    waits = [backoff.died() for _ in range(40)]
    assert waits[1] < waits[3] < waits[5]
    assert max(waits) <= MOST_SECONDS
    assert min(waits[10:]) >= MOST_SECONDS / 2
    assert len(set(waits[10:])) > 20


def test_a_process_that_lived_for_long_begins_anew() -> None:
    clock = Clock()
    backoff = RestartBackoff(clock)
    for _ in range(5):
        backoff.died()
    backoff.started()
    clock.now += STABLE_SECONDS
    assert backoff.died() == 0
