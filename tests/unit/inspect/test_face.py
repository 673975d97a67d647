"""Each read and each action is described once, and both faces have it."""

import inspect
from typing import Any

import pytest

from rota import Rota
from rota.broker import Broker
from rota.client.steps import Act
from rota.inspect import Actions, Inspector, SyncActions, SyncInspector, TaskRef
from rota.inspect.face import Stream, streamed

PAIRS: list[tuple[type, type]] = [(Inspector, SyncInspector), (Actions, SyncActions)]
OWN = {"carry_out", "batches"}
"""What each face does in its own way."""
PURE = {"bulk", "lock_of"}
"""Methods that only make a value, so that nothing is carried out."""


def public(face: type) -> dict[str, Any]:
    return {name: function for name, function in inspect.getmembers(face, callable) if not name.startswith("_")}


@pytest.mark.parametrize(("face", "twin"), PAIRS)
def test_both_faces_have_the_same_descriptions(face: type, twin: type) -> None:
    ours, theirs = public(face), public(twin)
    assert ours.keys() == theirs.keys()
    assert {name for name in ours if ours[name] is not theirs[name]} == OWN
    assert all(hasattr(function, "__wrapped__") for name, function in ours.items() if name not in OWN | PURE)


class Countdown(Stream[int]):
    def __init__(self, start: int) -> None:
        self.left = start

    def next_batch(self) -> Act[int | None]:
        self.left -= 1
        return self.left if self.left >= 0 else None
        yield


class Counting(Inspector):
    @streamed
    def countdown(self, start: int) -> Stream[int]:
        return Countdown(start)


class SyncCounting(SyncInspector):
    countdown = Counting.countdown


async def test_both_faces_yield_the_batches_of_a_stream() -> None:
    broker = Broker.from_url("redis://localhost")
    assert [number async for number in Counting(broker).countdown(3)] == [2, 1, 0]
    assert list(SyncCounting(broker.sync()).countdown(3)) == [2, 1, 0]


async def test_a_stream_can_be_left_early() -> None:
    stream = Countdown(3)
    face = Counting(Broker.from_url("redis://localhost"))
    async for number in face.batches(stream):
        assert number == 2
        break
    assert stream.left == 2


async def test_an_app_gives_faces_on_its_connections() -> None:
    async with Rota("redis://localhost", settings={"when_away": "fail"}) as app:
        assert app.inspector()._requests._broker is app.client.origin
        assert app.actions()._requests._broker is app.client.origin
        assert app.inspector_sync()._requests._broker is app.sync_client.origin
        assert app.actions_sync()._requests._broker is app.sync_client.origin
        app.close()


def test_a_reference_to_a_task_can_be_given_as_arguments() -> None:
    ref = TaskRef("mail", "7")
    assert (ref.queue, ref.id, [*ref]) == ("mail", "7", ["mail", "7"])
