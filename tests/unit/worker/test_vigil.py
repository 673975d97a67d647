"""When a fetcher listens and when it rests, with a wake-up that does nothing."""

from collections.abc import Iterable

import pytest

from rota.wire.keys import Keys, QueueKeys
from rota.worker.agenda import Agenda
from rota.worker.clock import BrokerClock
from rota.worker.crowd import LOSSES_BEFORE_BACKOFF
from rota.worker.fetch_statistics import FetchStatistics
from rota.worker.vigil import FULL_ROUNDS, Vigil

KEYS = Keys()


class Wakeup:
    name = "of a test"

    def __init__(self, *, covers_all: bool) -> None:
        self.covers_all = covers_all
        self.armed = False
        self.acts: list[str | list[str]] = []

    async def arm(self, queues: Iterable[QueueKeys]) -> None:
        self.armed = True
        self.acts.append([keys.queue for keys in queues])

    async def disarm(self) -> None:
        self.armed = False
        self.acts.append("disarmed")


class Watch:
    def __init__(self, *, covers_all: bool = True) -> None:
        self.wakeup = Wakeup(covers_all=covers_all)
        self.agenda = Agenda(BrokerClock())
        self.statistics = FetchStatistics()
        self.vigil = Vigil(self.agenda, lambda: [KEYS.queue("a"), KEYS.queue("b")], 0.01, self.statistics)

    async def idle(self) -> set[str]:
        """Be idle once, with news of one queue, so that nothing waits. Returns what is to be looked at."""
        self.agenda.queues = {"a"}
        await self.vigil.idle(self.wakeup)
        return self.agenda.queues

    async def lose(self, times: int) -> None:
        for _ in range(times):
            self.vigil.race()
            await self.vigil.judge(self.wakeup, 0, full=False)


@pytest.fixture
def watch() -> Watch:
    return Watch()


async def test_after_it_has_begun_to_listen_it_looks_everywhere_once_more(watch: Watch) -> None:
    assert await watch.idle() == {"a", "b"}
    assert await watch.idle() == {"a"}
    assert watch.wakeup.acts == [["a", "b"]]


async def test_who_is_full_for_long_stops_to_listen(watch: Watch) -> None:
    await watch.idle()
    for _ in range(FULL_ROUNDS):
        await watch.vigil.judge(watch.wakeup, 5, full=True)
    assert watch.wakeup.armed
    await watch.vigil.judge(watch.wakeup, 5, full=True)
    assert not watch.wakeup.armed


async def test_who_comes_too_late_several_times_rests(watch: Watch) -> None:
    await watch.idle()
    await watch.lose(LOSSES_BEFORE_BACKOFF)
    await watch.idle()
    assert "disarmed" in watch.wakeup.acts


async def test_who_comes_for_tasks_that_are_left_to_others_has_lost_no_race(watch: Watch) -> None:
    await watch.idle()
    watch.vigil.note_staying("a", True)
    await watch.lose(5 * LOSSES_BEFORE_BACKOFF)
    await watch.idle()
    assert "disarmed" not in watch.wakeup.acts


async def test_who_listens_to_each_queue_leaves_those_out_where_tasks_stay_and_comes_back_to_them() -> None:
    watch = Watch(covers_all=False)
    await watch.idle()
    watch.wakeup.armed = False  # a task came, and it stays
    watch.vigil.note_staying("a", True)
    await watch.idle()
    await watch.idle()
    assert watch.wakeup.acts == [["a", "b"], ["b"]]

    watch.vigil.note_staying("a", False)
    await watch.idle()
    assert watch.wakeup.acts[-1] == ["a", "b"]


async def test_who_listens_to_all_at_once_goes_on_to(watch: Watch) -> None:
    await watch.idle()
    watch.vigil.note_staying("a", True)
    await watch.idle()
    watch.vigil.note_staying("a", False)
    await watch.idle()
    assert watch.wakeup.acts == [["a", "b"]]


async def test_a_queue_that_is_served_no_more_is_not_remembered_as_one_where_tasks_stay() -> None:
    watch = Watch(covers_all=False)
    watch.vigil.note_staying("a", True)
    watch.vigil.queues_changed()
    await watch.idle()
    assert watch.wakeup.acts == [["a", "b"]]
