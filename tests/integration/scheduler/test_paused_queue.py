"""Runs of schedules whose queue refuses producers."""

from rota.wire import pause
from tests.integration.scheduler.conftest import Hand, order


async def test_run_is_skipped_with_the_reason_while_its_queue_refuses_producers(hand: Hand) -> None:
    keys = hand.broker.keys.queue("low")
    await hand.broker.run(pause.pause(keys, "producers", by="anna", reason="migration", kind="drain"))
    firing = hand.firing()
    await firing.take(1)
    await firing.fire([order("a", 0, queue="low"), order("b", 0)])
    assert (await hand.pending("low"), await hand.pending()) == ([], ["b-1772366400000"])
    skipped, fired = sorted(hand.done, key=lambda run: run.schedule_id)
    assert (skipped.outcome, skipped.skip_reason, skipped.task_ids) == ("skipped", "refused", ())
    assert "Queue 'low' took no task: it is being drained" in skipped.error
    assert "by anna (migration)" in skipped.error
    assert (fired.outcome, fired.task_ids) == (None, ("b-1772366400000",))


async def test_next_run_is_enqueued_once_the_queue_is_resumed(hand: Hand) -> None:
    keys = hand.broker.keys.queue("default")
    await hand.broker.run(pause.pause(keys, "both", by="anna", reason=""))
    firing = hand.firing()
    await firing.take(1)
    await firing.fire([order("a", 0)])
    await hand.broker.run(pause.resume(keys))
    await firing.fire([order("a", 1)])
    assert await hand.pending() == ["a-1772366401000"]
    await hand.firing().take(2)
    assert await hand.pending() == ["a-1772366401000"], "a later leader does not repeat the skipped run"
