"""When a fetcher listens and when it rests, with a wake-up that does nothing."""

from collections.abc import Iterable

import pytest

from rota.wire.keys import Keys, QueueKeys
from rota.worker.clock import BrokerClock
from rota.worker.consume.idle_strategy import (
    FULL_ROUNDS,
    LOSSES_BEFORE_BACKOFF,
    FetchStatistics,
    IdleStrategy,
    ReadyQueues,
)

KEYS = Keys()


class Wakeup:
    name = "of a test"

    def __init__(self, *, notifies: bool) -> None:
        self.notifies = notifies
        self.checks = 0
        self.still_on = True
        self.armed = False
        self.acts: list[str | list[str]] = []

    async def arm(self, queues: Iterable[QueueKeys]) -> None:
        self.armed = True
        self.acts.append([keys.queue for keys in queues])

    async def disarm(self) -> None:
        self.armed = False
        self.acts.append("disarmed")

    async def check(self) -> bool:
        self.checks += 1
        return self.still_on


class Watch:
    def __init__(self, *, notifies: bool = True, slow_poll: float = 60, check: float = 60) -> None:
        self.wakeup = Wakeup(notifies=notifies)
        self.ready_queues = ReadyQueues(BrokerClock())
        self.statistics = FetchStatistics()
        self.idle_strategy = IdleStrategy(
            self.ready_queues, lambda: [KEYS.queue("a"), KEYS.queue("b")], slow_poll, check, self.statistics
        )

    async def idle(self) -> set[str]:
        """Be idle once, with news of one queue, so that nothing waits. Returns what is to be looked at."""
        self.ready_queues.queues = {"a"}
        await self.idle_strategy.idle(self.wakeup)
        return self.ready_queues.queues

    async def lose(self, times: int) -> None:
        for _ in range(times):
            self.idle_strategy.herd_backoff.racing = True
            await self.idle_strategy.judge(self.wakeup, 0, full=False)


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
        await watch.idle_strategy.judge(watch.wakeup, 5, full=True)
    assert watch.wakeup.armed
    await watch.idle_strategy.judge(watch.wakeup, 5, full=True)
    assert not watch.wakeup.armed


async def test_who_comes_too_late_several_times_rests(watch: Watch) -> None:
    await watch.idle()
    await watch.lose(LOSSES_BEFORE_BACKOFF)
    await watch.idle()
    assert "disarmed" in watch.wakeup.acts


async def test_who_comes_for_tasks_that_are_left_to_others_has_lost_no_race(watch: Watch) -> None:
    await watch.idle()
    watch.idle_strategy.staying.add("a")
    await watch.lose(5 * LOSSES_BEFORE_BACKOFF)
    await watch.idle()
    assert "disarmed" not in watch.wakeup.acts


async def test_fetcher_loses_races_again_when_the_queue_that_it_left_to_others_is_removed(watch: Watch) -> None:
    await watch.idle()
    watch.idle_strategy.staying.add("removed")
    watch.idle_strategy.queues_changed()
    await watch.lose(LOSSES_BEFORE_BACKOFF)
    await watch.idle()
    assert "disarmed" in watch.wakeup.acts


async def test_vigil_checks_its_connection_while_nothing_happens() -> None:
    watch = Watch(check=0.001)
    await watch.idle()
    watch.ready_queues.queues.clear()
    await watch.idle_strategy.idle(watch.wakeup)
    assert (watch.wakeup.checks, watch.ready_queues.queues) == (1, set())


async def test_vigil_looks_everywhere_when_notifications_were_turned_off() -> None:
    watch = Watch(check=0.001)
    await watch.idle()
    watch.ready_queues.queues.clear()
    watch.wakeup.still_on = False
    await watch.idle_strategy.idle(watch.wakeup)
    assert watch.ready_queues.queues == {"a", "b"}


async def test_vigil_looks_everywhere_at_the_slow_poll_though_it_checks_more_often() -> None:
    watch = Watch(slow_poll=3600, check=0.001)
    await watch.idle()
    watch.ready_queues.queues.clear()
    await watch.idle_strategy.idle(watch.wakeup)
    assert (watch.wakeup.checks, watch.ready_queues.queues) == (1, set())
    watch.idle_strategy._looked_at -= 3600
    await watch.idle_strategy.idle(watch.wakeup)
    assert (watch.wakeup.checks, watch.ready_queues.queues) == (1, {"a", "b"})


async def test_vigil_looks_everywhere_when_the_slow_poll_is_overdue() -> None:
    watch = Watch(slow_poll=-1)  # the event loop was blocked when it was due
    await watch.idle()
    watch.ready_queues.queues.clear()
    await watch.idle_strategy.idle(watch.wakeup)
    assert watch.ready_queues.queues == {"a", "b"}


async def test_vigil_polls_half_as_often_each_time_until_a_task_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rota.worker.consume.idle_strategy.FIRST_POLL_SECONDS", 0.001)
    monkeypatch.setattr("rota.worker.consume.idle_strategy.LAST_POLL_SECONDS", 0.005)
    watch = Watch(notifies=False)
    await watch.idle()
    polls: list[float] = []
    for _ in range(4):
        polls.append(watch.idle_strategy._poll_seconds)
        watch.ready_queues.queues.clear()
        await watch.idle_strategy.idle(watch.wakeup)
        assert watch.ready_queues.queues == {"a", "b"}
    await watch.idle_strategy.judge(watch.wakeup, 1, full=False)
    assert [*polls, watch.idle_strategy._poll_seconds] == [0.001, 0.002, 0.004, 0.005, 0.001]
