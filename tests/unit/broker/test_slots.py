"""Slots as the Cluster specification computes them."""

from typing import Any

import pytest

from rota.broker.failure import NotNow
from rota.broker.script_cache import Words
from rota.broker.slots import SlotMap, slot_of
from rota.broker.url import Endpoint
from rota.core.sync_bridge import finish
from rota.errors import BrokerError, BrokerRefused


def test_slots_agree_with_the_specification() -> None:
    # 0x31C3 is the check value of CRC16/XMODEM that the specification gives.
    assert slot_of("123456789") == 0x31C3
    assert slot_of("foo") == 12182
    assert slot_of("{user1000}.following") == slot_of("{user1000}.followers") == slot_of("user1000")


def test_only_the_first_non_empty_tag_counts() -> None:
    assert slot_of("foo{}{bar}") != slot_of("bar")
    assert slot_of("foo{{bar}}zap") == slot_of("{bar")
    assert slot_of("foo{bar}{zap}") == slot_of("bar")
    assert slot_of("foo{bar") != slot_of("bar")


def test_a_node_without_a_host_is_at_the_host_that_was_asked() -> None:
    slots = SlotMap()
    slots.load([[0, 8191, [None, 1, b"id"]], [8192, 16383, [b"b", 2, b"id"], [b"replica", 3, b"id"]]], Endpoint("a", 9))
    assert slots.masters == (Endpoint("a", 1), Endpoint("b", 2))
    assert slots.owner("foo") == Endpoint("b", 2)


def test_a_move_changes_one_slot() -> None:
    slots = SlotMap()
    slots.load([[0, 16383, [b"a", 1, b"id"]]], Endpoint("a", 1))
    slots.assign(slot_of("foo"), Endpoint("c", 3))
    assert slots.owner("foo") == Endpoint("c", 3)
    assert slots.owner("bar") == Endpoint("a", 1)
    assert Endpoint("c", 3) in slots.masters


HALF = [[0, 8191, [b"a", 1, b"id"]]]
NODES = [Endpoint("a", 1), Endpoint("b", 2)]


def answers(*replies: Any) -> Any:
    left = list(replies)

    async def ask(node: Endpoint, words: Words) -> Any:
        assert (node, words) == (NODES[-len(left)], ("CLUSTER", "SLOTS"))
        reply = left.pop(0)
        if isinstance(reply, BrokerError):
            raise reply
        return reply

    return ask


@pytest.mark.parametrize("first", [BrokerRefused("no permission"), []], ids=["refused", "empty"])
def test_the_map_comes_from_the_first_node_that_has_one(first: object) -> None:
    slots = SlotMap()
    finish(slots.reload(NODES, answers(first, HALF)))
    assert slots.masters == (Endpoint("a", 1),)
    assert not slots.stale


def test_a_map_that_no_node_has_stays_stale() -> None:
    slots = SlotMap()
    with pytest.raises(NotNow, match="has no slots assigned; create it with"):
        finish(slots.reload(NODES, answers([], [])))
    with pytest.raises(BrokerRefused, match="no permission"):
        finish(slots.reload(NODES, answers(BrokerRefused("no permission"), NotNow("away"))))
    assert slots.stale


def test_a_slot_without_a_node_makes_the_map_stale() -> None:
    slots = SlotMap()
    finish(slots.reload(NODES, answers([], HALF)))
    assert slots.locate(None) == Endpoint("a", 1)
    assert slots.locate("bar") == Endpoint("a", 1)
    with pytest.raises(NotNow, match="No node of the Cluster serves the slot of 'foo' now"):
        slots.locate("foo")
    assert slots.stale
