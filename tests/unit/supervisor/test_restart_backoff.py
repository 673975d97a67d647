from rota.supervisor.restart_backoff import MOST_SECONDS, STABLE_SECONDS, RestartBackoff
from tests.unit.clock import Clock


def test_the_first_death_is_made_good_at_once() -> None:
    assert RestartBackoff(Clock()).died() == 0


def test_each_further_death_waits_longer_up_to_a_limit_and_never_exactly_alike() -> None:
    patience = RestartBackoff(Clock())
    waits = [patience.died() for _ in range(40)]
    assert waits[1] < waits[3] < waits[5]
    assert max(waits) <= MOST_SECONDS
    assert min(waits[10:]) >= MOST_SECONDS / 2
    assert len(set(waits[10:])) > 20


def test_a_process_that_lived_for_long_begins_anew() -> None:
    clock = Clock()
    patience = RestartBackoff(clock)
    for _ in range(5):
        patience.died()
    patience.started()
    clock.now += STABLE_SECONDS
    assert patience.died() == 0
