"""Slots as the Cluster specification computes them."""

from rota.broker.slots import SlotMap, slot_of
from rota.broker.url import Endpoint


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
