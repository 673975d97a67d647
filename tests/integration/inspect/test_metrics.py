"""The reads of metrics, on counts as workers write them."""

from datetime import timedelta

import pytest

from rota.errors import QueueNotFound
from rota.inspect import Inspector
from rota.wire import minute
from tests.integration.inspect.state import State


async def test_samples_of_all_queues_or_of_one_are_read_by_minute(inspector: Inspector, state: State) -> None:
    for name in ("low", "mail", "idle"):
        state.queue(name)
    now = int(state.client.time()[0]) // 60
    for name, back in (("low", 1), ("mail", 1), ("mail", 90)):
        minute_key = f"{inspector._keys.queue(name).minute_prefix}{now - back}"
        state.client.hset(minute_key, mapping={"types": 1, "n:t": 3, "succeeded:t": 3, "r12:t": 3})
    found = await inspector.metric_samples()
    assert [(each.queue, each.counts.by_type["t"]["n"]) for each in found] == [("low", 3), ("mail", 3), ("mail", 3)]
    assert len(await inspector.metric_samples("mail", last=timedelta(hours=1))) == 1
    assert await inspector.metric_samples("idle") == []
    with pytest.raises(QueueNotFound):
        await inspector.metric_samples("none")


async def test_totals_tell_what_others_processed(inspector: Inspector, state: State) -> None:
    keys = state.queue()
    state.client.set(keys.processed, 10)
    state.client.hset(f"{keys.minute_prefix}total", mapping={"types": 1, "n:t": 4, "succeeded:t": 3, "retried:t": 1})
    found = await inspector.metric_totals("default")
    assert found.counts.by_type == {"t": {"n": 4, "succeeded": 3, "retried": 1}}
    assert (found.processed, found.elsewhere()) == (10, {"processed": 6, "failed": 0})
    assert minute.PROCESSED == ("succeeded", "failed", "retried", "cancelled")
    with pytest.raises(QueueNotFound):
        await inspector.metric_totals("none")


async def test_totals_have_the_open_minute_and_the_types_that_are_still_to_be_added(
    inspector: Inspector, state: State
) -> None:
    prefix = state.queue().minute_prefix
    state.client.hset(f"{prefix}total", mapping={"types": 3, "n:a": 5, "n:b": 0, "n:c": 0, "n": 2})
    of_minute = {"minute": 40, "types": 2, "type_1": "a", "type_2": "b", "n:a": 3, "n:b": 4, "n": 9}
    state.client.hset(f"{prefix}40", mapping=of_minute)
    state.client.hset(f"{prefix}open", mapping={"minute": "41 40 1", "types": 1, "type_1": "c", "n:c": 7, "n": 9})
    found = await inspector.metric_totals("default")
    assert found.counts == minute.TypeCounts({"a": {"n": 5}, "b": {"n": 4}, "c": {"n": 7}}, {"n": 2})
