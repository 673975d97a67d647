from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rota.inspect import TaskRef
from rota.inspect.candidate import Hit
from rota.inspect.error_groups import (
    MOST_GROUPS,
    ErrorPage,
    ErrorSearch,
    Failure,
    failed_only,
    failure_of,
    without_details,
)
from rota.inspect.query import render
from rota.inspect.query_parser import parse
from rota.inspect.search_position import SearchPage
from rota.tasks.job import TaskState
from rota.wire.keys import Keys

TRACE = """Traceback (most recent call last):
  File "/srv/app/shop/tasks.py", line 12, in charge
    pay(order)
  File "/usr/lib/python3.12/site-packages/httpx/_client.py", line 900, in send
    raise mapped(message)
httpx.ConnectError: refused"""


def hit(
    error: str = "ConnectError: refused", traceback: str = "", failed_at: datetime | None = None, id: str = "a"
) -> Hit:
    return Hit(
        ref=TaskRef("default", id),
        state=TaskState.RETRY,
        at=None,
        type="shop:charge",
        payload=b"",
        error=error,
        failed_at=failed_at,
        retried=0,
        max_retry=25,
        group="",
        traceback=traceback,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no user 42", "no user <n>"),
        ("took 1.5 s of 10,000", "took <n> s of <n>"),
        ("task 6f1e8a52-6a0e-4d5e-9b1c-0a1b2c3d4e5f is gone", "task <id> is gone"),
        ("<Conn object at 0x7f3a2b1c>", "<Conn object at <address>>"),
        ("commit 9fceb02d0ae598e9 is bad", "commit <id> is bad"),
        ("dial tcp 10.0.0.7:6379: refused", "dial tcp <address>: refused"),
        ("dial [::1]:6379", "dial <address>"),
        ("run 01ARZ3NDEKTSV4RRFFQ69G5FAV", "run <id>"),
        ("deadbeef facade", "deadbeef facade"),
    ],
)
def test_text_of_an_error_loses_numbers_ids_and_addresses(text: str, expected: str):
    assert without_details(text) == expected


def test_error_with_a_traceback_is_found_in_the_code_of_the_user():
    failure = failure_of(hit("ConnectError: refused by 10.0.0.1", TRACE))
    assert failure == Failure(
        "shop:charge", "ConnectError", "shop/tasks.py:charge", "ConnectError: refused by <address>"
    )


def test_place_is_in_a_library_if_no_other_frame_is_known():
    trace = 'Traceback:\n  File "/usr/lib/python3.12/json/decoder.py", line 3, in decode\nValueError'
    assert failure_of(hit("ValueError", trace)).place == "json/decoder.py:decode"


@pytest.mark.parametrize(
    ("error", "exception"),
    [
        ("ValueError: x", "ValueError"),
        ("ValueError", "ValueError"),
        ("shop.errors.CardRefused: no", "CardRefused"),
        ("dial tcp: lookup failed", ""),
        ("http: Server closed", ""),
        ("", ""),
    ],
)
def test_class_of_an_error_is_read_from_its_text(error: str, exception: str):
    assert failure_of(hit(error)).exception == exception


def test_same_error_at_another_line_or_with_another_number_has_the_same_fingerprint():
    one = failure_of(hit("ConnectError: try 1", TRACE))
    other = failure_of(hit("ConnectError: try 2", TRACE.replace("line 12", "line 99").replace("/srv/", "/home/")))
    assert one.fingerprint == other.fingerprint
    assert (
        one.fingerprint != failure_of(hit("ConnectError: try 1", TRACE.replace("in charge", "in refund"))).fingerprint
    )
    go = [failure_of(hit(f"dial tcp 10.0.0.{n}:80: refused")).fingerprint for n in (1, 2)]
    assert go[0] == go[1]


def test_only_failed_tasks_are_searched_unless_the_query_names_states():
    assert render(failed_only(parse("type:x"))) == "type:x error:* state:retry,archived"
    assert render(failed_only(parse("state:pending"))) == "state:pending error:*"


class Pages(ErrorSearch):
    """Gets its pages from the test."""

    def collect(self, *hits: Hit) -> ErrorPage:
        page = SearchPage(hits=hits, scanned=len(hits), total=len(hits), cursor="", is_last=True)
        pages = iter([page, None])

        def next_batch():
            return next(pages)
            yield

        self._search.next_batch = next_batch  # type: ignore[method-assign]
        act = self.next_batch()
        try:
            next(act)
        except StopIteration as end:
            return end.value
        raise AssertionError("nothing is sent")


def test_group_counts_tasks_by_the_hour_of_their_last_failure():
    now = datetime.now(UTC)
    times = [now, now - timedelta(minutes=30), now - timedelta(hours=23, minutes=30), now - timedelta(days=3), None]
    page = Pages(Keys(), parse("")).collect(*(hit(failed_at=at, id=str(n)) for n, at in enumerate(times)))
    [group] = page.groups
    assert (group.tasks, sum(group.trend), group.trend[-1], group.trend[0]) == (5, 3, 2, 1)
    assert (group.first_at, group.last_at, group.sample.ref.id) == (times[3], times[0], "0")
    assert (group.queues, group.states) == ({"default": 5}, {"retry": 5})


def test_groups_are_sorted_by_their_tasks():
    page = Pages(Keys(), parse("")).collect(hit("A: 1"), hit("B: 1"), hit("B: 2"))
    assert [(group.exception, group.tasks) for group in page.groups] == [("B", 2), ("A", 1)]


def test_old_failures_can_be_left_out():
    now = datetime.now(UTC)
    search = Pages(Keys(), parse(""), within=timedelta(hours=1))
    page = search.collect(hit(failed_at=now), hit(failed_at=now - timedelta(hours=2)), hit(failed_at=None))
    assert page.tasks == 1


def test_number_of_groups_is_bounded():
    kinds = [replace(hit("x"), type=f"t{number}") for number in range(MOST_GROUPS + 5)]
    page = Pages(Keys(), parse("")).collect(*kinds, kinds[0])
    assert (len(page.groups), page.tasks, page.ungrouped) == (MOST_GROUPS, MOST_GROUPS + 6, 5)
