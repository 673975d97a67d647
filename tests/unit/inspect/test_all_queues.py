"""All queues at once, while some of them cannot be read."""

from collections.abc import Generator
from datetime import date
from typing import Any

import pytest

from rota.broker import Broker
from rota.client.steps import Burst, Command
from rota.errors import BrokerError, BrokerRefused, BrokerUnavailable
from rota.inspect import Inspector, Overview
from rota.inspect import queue as look_queue
from rota.wire.keys import QueueKeys

NOW = b"1700000000.5"


def page_of(queue: str) -> Any:
    """The decoded reply of an empty queue."""
    call = look_queue.queue(QueueKeys(queue), date(2023, 11, 14))
    counters: list[None] = [None] * (3 + 9)
    return call.decode([NOW, [0] * 6, 0, None, None, counters, 0, b"0", [], [], [None] * 7])


def answer(call: Any, failures: dict[str, BrokerError]) -> Any:
    queue = call.keys[0].partition("{")[2].partition("}")[0]
    return failures.get(queue, page_of(queue) if call.script.name == "look_queue" else [])


def seen(failures: dict[str, BrokerError]) -> Overview:
    """Look at the queues a and b. The answers of a queue are errors if `failures` names it."""
    inspector: Any = Inspector(Broker.from_url("redis://localhost"))
    act: Generator[Any, Any, Overview] = type(inspector).overview.__wrapped__(inspector, with_memory=False)
    step = act.send(None)
    try:
        while True:
            match step:
                case Command():
                    step = act.send([b"0", [b"a", b"b"]])
                case Burst(requests):
                    step = act.send([answer(request, failures) for request in requests])
                case call:
                    step = act.send(answer(call, failures))
    except StopIteration as end:
        found: Overview = end.value
        return found


def test_a_queue_on_a_node_that_is_away_does_not_hide_the_others() -> None:
    overview = seen({"b": BrokerUnavailable("the node is away")})
    assert [queue.queue for queue in overview.queues] == ["a"]
    assert overview.broken == {"b": "the node is away"}


def test_an_error_of_all_queues_is_raised() -> None:
    refusal = BrokerRefused("no permission")
    with pytest.raises(BrokerRefused, match="no permission"):
        seen({"a": refusal, "b": refusal})
