"""What a fetcher looks at, and how long it sleeps."""

import asyncio
import time

from rota.worker.clock import BrokerClock
from rota.worker.consume.idle_strategy import ReadyQueues


def ready_queues() -> ReadyQueues:
    clock = BrokerClock()
    clock.set(1000.0)
    return ReadyQueues(clock)


async def test_news_end_the_sleep() -> None:
    book = ready_queues()
    asyncio.get_running_loop().call_soon(book.add, ["default"])
    assert await book.sleep(60)
    assert book.queues == {"default"}


async def test_a_queue_on_the_agenda_leaves_no_time_to_sleep() -> None:
    book = ready_queues()
    book.add(["default"])
    start = time.monotonic()
    assert await book.sleep(60)
    assert time.monotonic() - start < 30


async def test_a_due_time_calls_its_queue_up() -> None:
    book = ready_queues()
    book.add_due("later", 2000.0)
    book.add_due("soon", 1000.05)
    assert await book.sleep(60)
    assert book.queues == {"soon"}
    assert 900 < book.seconds_left(5000) <= 1000


async def test_the_earliest_due_time_counts_and_wakes_the_sleeper() -> None:
    book = ready_queues()
    book.add_due("default", 5000.0)
    asyncio.get_running_loop().call_soon(book.add_due, "default", 999.0)
    await book.sleep(60)
    assert await book.sleep(60)
    assert book.queues == {"default"}


async def test_time_that_only_passed_is_no_news() -> None:
    assert not await ready_queues().sleep(0.01)


async def test_what_is_told_after_a_queue_was_taken_off_stays_on() -> None:
    book = ready_queues()
    book.add(["default", "other"])
    book.add_due("default", 1500.0)
    book.take_off(["default"])
    assert book.queues == {"other"}
    assert book.seconds_left(10) >= 9
    book.add(["default"])
    assert book.queues == {"default", "other"}
