"""What the first, second and third Ctrl-C do."""

import logging

import pytest

from rota.cli.run_worker import LEFT_WITHOUT_A_WORD, Stopper


class FakeWorker:
    def __init__(self) -> None:
        self.stops = 0

    def stop(self) -> None:
        self.stops += 1


def test_the_first_request_stops_gently_and_tells_how_to_hurry(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rota.worker")
    worker, left = FakeWorker(), list[int]()

    Stopper(worker, left.append).request()  # type: ignore[arg-type]

    assert (worker.stops, left) == (1, [])
    assert "again" in caplog.text


def test_the_second_request_stops_at_once_and_the_third_leaves() -> None:
    worker, left = FakeWorker(), list[int]()
    stopper = Stopper(worker, left.append)  # type: ignore[arg-type]

    stopper.request()
    stopper.request()
    assert (worker.stops, left) == (2, [])

    stopper.request()
    assert left == [LEFT_WITHOUT_A_WORD]


def test_to_be_asked_gently_again_hurries_nobody_and_at_once_means_at_once() -> None:
    worker, left = FakeWorker(), list[int]()
    stopper = Stopper(worker, left.append)  # type: ignore[arg-type]

    stopper.stop_gently()
    stopper.stop_gently()
    assert worker.stops == 1

    stopper.stop_at_once()
    assert (worker.stops, left) == (2, [])

    unasked = FakeWorker()
    Stopper(unasked, left.append).stop_at_once()  # type: ignore[arg-type]
    assert (unasked.stops, left) == (2, [])
