"""What a worker remembers of types that nobody here runs."""

from datetime import timedelta

from rota.wire.fetch import Spared
from rota.worker.unhandled import MOST_TYPES, SPARED_SECONDS, Unhandled

MINUTE = timedelta(minutes=1)


def test_what_came_with_the_first_fetch_of_a_type_is_news() -> None:
    unhandled = Unhandled(lambda _: False, MINUTE)
    met = [unhandled.meet(*each) for each in (("a", "w-1"), ("b", "w-2"), ("b", "w-2"), ("a", "w-2"), ("b", "w-3"))]
    assert met == [True, True, True, False, False]
    assert unhandled.spared() == Spared(("a", "b"), SPARED_SECONDS)
    assert unhandled.counts == {"a": 2, "b": 3}


def test_a_type_that_is_run_here_by_now_is_spared_no_longer() -> None:
    known: set[str] = set()
    unhandled = Unhandled(known.__contains__, MINUTE)
    unhandled.meet("a", "w-1")
    known.add("a")
    assert unhandled.spared().types == ()


def test_nothing_is_spared_for_longer_than_a_task_is_put_off() -> None:
    unhandled = Unhandled(lambda _: False, timedelta(milliseconds=100))
    unhandled.meet("a", "w-1")
    assert unhandled.spared().seconds == 0.1


def test_of_very_many_types_the_first_are_remembered_so_that_none_goes_back_twice() -> None:
    unhandled = Unhandled(lambda _: False, MINUTE)
    types = [str(number) for number in range(MOST_TYPES + 10)]
    assert [unhandled.meet(type, "w-1") for type in types] == [True] * MOST_TYPES + [False] * 10
    assert not any(unhandled.meet(type, "w-2") for type in types)
