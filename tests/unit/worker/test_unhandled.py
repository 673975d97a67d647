"""What a worker remembers of types that nobody here runs."""

from datetime import timedelta

from rota.wire.fetch import Spared
from rota.worker.consume.unknown_types import FORGET_SECONDS, MOST_TYPES, SPARED_SECONDS, Unhandled, UnknownTypes
from tests.unit.clock import Clock

LEASE = 30.0


class Memory(Unhandled):
    """Of a worker that knows the types in `known`, by a clock of the test."""

    def __init__(self, delay: timedelta = timedelta(minutes=1)) -> None:
        self.known: set[str] = set()
        self.clock = Clock()
        unknown = UnknownTypes(later=lambda seconds, act: None)
        super().__init__(self.known.__contains__, delay, LEASE, self.clock, unknown=unknown)

    def meet_of(self, type: str, fetched_at: float) -> bool:
        """Meet a task one second after its fetch had left, or later."""
        self.clock.now = max(self.clock.now, fetched_at + 1)
        return self.arrived(type, fetched_at + LEASE)


def test_what_was_fetched_before_its_type_was_met_could_not_be_spared() -> None:
    memory = Memory()
    # Two fetches of one node and, under way at the same time, one of another.
    met = [memory.meet_of("a", at) for at in (1000, 1000, 1000.5, 1002, 1002)]
    assert met == [True, True, True, False, False]
    assert memory.spared() == Spared(("a",), SPARED_SECONDS)
    assert memory.unknown.counts == {"a": 5}


def test_a_type_that_is_run_here_by_now_is_spared_no_longer() -> None:
    memory = Memory()
    memory.meet_of("a", 1000)
    memory.known.add("a")
    assert memory.spared() == Spared()


def test_nothing_is_spared_for_longer_than_a_task_is_put_off() -> None:
    memory = Memory(timedelta(milliseconds=100))
    memory.meet_of("a", 1000)
    assert memory.spared().seconds == 0.1


def test_of_very_many_types_the_first_are_remembered_so_that_none_goes_back_again_and_again() -> None:
    memory = Memory()
    types = [str(number) for number in range(MOST_TYPES + 10)]
    assert [memory.meet_of(type, 1000) for type in types] == [True] * MOST_TYPES + [False] * 10
    assert not any(memory.meet_of(type, 1002) for type in types)


def test_a_type_that_comes_no_more_makes_room_for_others() -> None:
    memory = Memory()
    memory.meet_of("old", 1000)
    memory.meet_of("young", 1000)
    memory.meet_of("young", 1000 + FORGET_SECONDS)
    memory.clock.now += 1
    assert memory.spared().types == ("young",)
    assert memory.meet_of("old", 1000 + FORGET_SECONDS + 5)
