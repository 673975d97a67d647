"""Senders and their numbers."""

import os

from rota.client.sender import Sender, Senders
from rota.wire.enqueue import enqueue_plain
from rota.wire.keys import QueueKeys
from rota.wire.script import Call

KEYS = QueueKeys("q")


def stamp(call: Call[int]) -> tuple[str, int]:
    return call.keys[-1], int(call.args[-2])


def test_each_call_of_a_sender_has_a_higher_number() -> None:
    sender, call = Sender(KEYS), enqueue_plain(KEYS, ("a", b"1"))
    stamps = [stamp(sender.once(call)) for _ in range(1000)]
    assert [number for _, number in stamps] == sorted({number for _, number in stamps})
    assert len({memory for memory, _ in stamps}) == 1
    assert stamps[0][0].startswith("rota:{q}:sent:")


def test_the_call_itself_stays_what_it_is() -> None:
    call = enqueue_plain(KEYS, ("a", b"1"))
    stamped = Sender(KEYS, life_seconds=9).once(call)
    assert (*stamped.keys[:-1], *stamped.args[:-2]) == (*call.keys, *call.args)
    assert (stamped.args[-1], stamped.decode(1)) == (9, 1)
    assert call.script.source in stamped.script.source


def test_requests_that_are_under_way_at_once_have_senders_of_their_own() -> None:
    senders = Senders()
    first, second, other = senders.take(KEYS), senders.take(KEYS), senders.take(QueueKeys("other"))
    assert len({first, second, other}) == 3
    senders.give(first)
    assert senders.take(KEYS) is first
    assert senders.take(QueueKeys("other")) is not other


def test_a_forked_child_uses_none_of_its_parents_senders() -> None:
    senders = Senders()
    free = senders.take(KEYS)
    senders.give(free)
    child = os.fork()
    if child == 0:
        os._exit(senders.take(KEYS) is free)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert senders.take(KEYS) is free
