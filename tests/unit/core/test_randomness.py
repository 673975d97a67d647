"""Rota draws its own random numbers."""

import multiprocessing
import random
from multiprocessing.connection import Connection

from rota.core.randomness import RANDOM
from rota.tasks.policy import Retry


def _draw(answer: Connection) -> None:
    answer.send(RANDOM.random())


def test_seed_of_the_user_decides_nothing_and_is_not_used_up() -> None:
    retry, delays = Retry(backoff="linear", jitter=1), set[float]()
    for _ in range(5):
        random.seed(7)
        state = random.getstate()
        delays.add(retry.next_delay(0, ValueError()).total_seconds())
        assert random.getstate() == state

    assert len(delays) > 1


def test_forked_processes_draw_different_numbers() -> None:
    context, drawn = multiprocessing.get_context("fork"), set[float]()
    for _ in range(2):
        here, there = context.Pipe()
        child = context.Process(target=_draw, args=(there,))
        child.start()
        drawn.add(here.recv())
        child.join()

    assert len(drawn) == 2
