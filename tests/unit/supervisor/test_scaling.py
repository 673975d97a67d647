from rota.settings.values import ProcessRange
from rota.supervisor.messages import ProcessReport
from rota.supervisor.scaling import Scaling

FULL, HALF, IDLE = (ProcessReport(ready=True, used=used, capacity=10) for used in (10, 5, 0))
STARTING = ProcessReport()


def scaling(least: int = 1, most: int = 4) -> Scaling:
    return Scaling(ProcessRange(least, most), up_after_seconds=5, down_after_seconds=60)


def test_it_grows_when_all_were_full_for_long_enough() -> None:
    load = scaling()
    for now in (0, 4.9):
        load.look([FULL, FULL], now)
        assert not load.may_grow(2, now)
    load.look([FULL, FULL], 5)
    assert load.may_grow(2, 5)


def test_a_moment_with_a_free_slot_begins_the_wait_anew() -> None:
    load = scaling()
    load.look([FULL], 0)
    load.look([HALF], 4)
    load.look([FULL], 5)
    assert not load.may_grow(1, 9)
    assert load.may_grow(1, 10)


def test_it_waits_for_one_that_is_starting() -> None:
    load = scaling()
    for now in (0, 100):
        load.look([FULL, STARTING], now)
    assert not load.may_grow(2, 100)


def test_it_never_leaves_its_range() -> None:
    load = scaling(2, 2)
    load.look([FULL, FULL], 0)
    assert not load.may_grow(2, 100)
    load.look([IDLE, IDLE], 100)
    assert not load.may_shrink(2, 1000)


def test_it_shrinks_when_half_of_the_others_would_have_done_for_long_enough() -> None:
    load = scaling()
    load.look([HALF, IDLE], 0)
    assert not load.may_shrink(2, 59)
    assert load.may_shrink(2, 60)
    load.look([HALF, HALF], 61)
    assert not load.may_shrink(2, 200)


def test_after_a_change_it_looks_anew() -> None:
    load = scaling()
    load.look([FULL], 0)
    load.changed()
    assert not load.may_grow(1, 100)
