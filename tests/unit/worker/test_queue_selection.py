"""Which queues are asked, and how many slots each gets."""

from collections import Counter

import pytest

from rota.errors import OptionError
from rota.worker.consume.queue_selection import QueueSelection


def test_a_single_queue_gets_every_slot() -> None:
    assert QueueSelection({"default": 3}).shares(["default"], 7) == [("default", 7)]


def test_strict_priority_offers_all_slots_to_the_highest_queue_that_may_have_tasks() -> None:
    subscription = QueueSelection({"low": 1, "critical": 6, "default": 3}, strict=True)
    assert subscription.shares(["low", "default", "critical"], 5) == [("critical", 5), ("default", 0), ("low", 0)]
    assert subscription.shares(["low", "default"], 5) == [("default", 5), ("low", 0)]


def test_weighted_draws_follow_the_weights() -> None:
    subscription = QueueSelection({"critical": 6, "default": 3, "low": 1})
    drawn: Counter[str] = Counter()
    first: Counter[str] = Counter()
    for _ in range(4000):
        shares = subscription.shares(["critical", "default", "low"], 5)
        drawn.update(dict(shares))
        first[shares[0][0]] += 1
    assert drawn.total() == 20000
    for counts, scale in ((drawn, 20000), (first, 4000)):
        assert abs(counts["critical"] / scale - 0.6) < 0.05
        assert abs(counts["default"] / scale - 0.3) < 0.05
        assert abs(counts["low"] / scale - 0.1) < 0.05


def test_an_empty_queue_leaves_its_share_to_the_others() -> None:
    shares = QueueSelection({"critical": 6, "low": 1}).shares(["low"], 9)
    assert shares == [("low", 9)]


def test_a_queue_that_is_not_served_is_never_asked() -> None:
    assert QueueSelection({"default": 1}).shares(["other"], 3) == []


def test_a_pattern_takes_up_queues_as_they_appear_and_gives_them_up_when_removed() -> None:
    subscription = QueueSelection({"default": 1, "mail-*": 2})
    assert subscription.queues == {"default": 1}
    assert subscription.discover(["default", "mail-eu", "mail-us", "reports"]) == ["mail-eu", "mail-us"]
    assert subscription.discover(["mail-eu"]) == []
    assert subscription.queues == {"mail-eu": 2, "mail-us": 2, "default": 1}
    subscription.remove("mail-*")
    assert subscription.queues == {"default": 1}


@pytest.mark.parametrize(("name", "priority"), [("", 1), ("  ", 1), ("}x", 1), ("default", 0), ("\udcff", 1)])
def test_a_queue_that_cannot_work_is_refused(name: str, priority: int) -> None:
    with pytest.raises(OptionError):
        QueueSelection({name: priority})


def test_pattern_serves_the_queue_of_just_that_name() -> None:
    subscription = QueueSelection({"jobs[eu]": 2, "what?": 1})
    assert subscription.fruitless() == ["jobs[eu]", "what?"]
    assert subscription.discover(["jobs[eu]", "jobse", "jobs", "what?"]) == ["jobs[eu]", "jobse", "what?"]
    assert subscription.queues == {"jobs[eu]": 2, "jobse": 2, "what?": 1}
    assert subscription.fruitless() == []


def test_removed_pattern_leaves_queues_that_are_served_by_name_or_by_another_pattern() -> None:
    subscription = QueueSelection({"mail-eu": 5, "mail-*": 2, "*-us": 1})
    subscription.discover(["mail-eu", "mail-us", "mail-uk"])
    assert subscription.queues == {"mail-eu": 5, "mail-us": 2, "mail-uk": 2}
    subscription.remove("mail-*")
    assert subscription.queues == {"mail-eu": 5, "mail-us": 1}


def test_removed_queue_is_not_found_again_until_it_is_added() -> None:
    subscription = QueueSelection({"mail-*": 2})
    subscription.discover(["mail-eu"])
    subscription.remove("mail-eu")
    assert subscription.discover(["mail-eu"]) == []
    assert subscription.queues == {}
    subscription.add("mail-eu", 3)
    assert subscription.queues == {"mail-eu": 3}
