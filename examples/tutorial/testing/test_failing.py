"""Tests of retries, in plain functions: without an event loop, the names end in `_sync`."""

import pytest

from failing import CardDeclined, charge, poll
from rota.testing import DrainError, Sandbox


def test_declined_card_is_not_retried(rota_sandbox: Sandbox) -> None:
    job = charge.enqueue_sync(1, 200_000)

    [run] = rota_sandbox.drain_sync()

    assert run.state == "archived"
    assert isinstance(run.error, CardDeclined)
    assert job.info().last_error == "CardDeclined: order 1"


def test_other_errors_are_retried_with_growing_delays(rota_sandbox: Sandbox) -> None:
    charge.enqueue_sync(1, -1)

    runs = rota_sandbox.drain_sync(travel="1h")

    assert [run.state for run in runs] == ["retry"] * 8 + ["archived"]


def test_busy_feed_is_polled_again(rota_sandbox: Sandbox) -> None:
    poll.enqueue_sync("busy:news")

    assert [run.state for run in rota_sandbox.drain_sync(travel="1s")] == ["retry", "completed"]


def test_errors_are_raised_where_none_is_expected(rota_sandbox: Sandbox) -> None:
    charge.enqueue_sync(1, -1)

    with pytest.raises(ValueError, match="-1 cents"):
        rota_sandbox.drain_sync(raise_errors=True)


def test_endless_retries_are_an_error_and_not_a_hang(rota_sandbox: Sandbox) -> None:
    charge.enqueue_sync(1, -1)

    with pytest.raises(DrainError, match="5 tasks ran, and more are due"):
        rota_sandbox.drain_sync(travel="1h", max_runs=5)
