import pytest

from rota.inspect import ErrorPage, Inspector
from tests.integration.inspect.state import State

TRACE = 'Traceback:\n  File "/srv/shop/tasks.py", line 3, in charge\nValueError: 7'


async def last_page(inspector: Inspector, query: str = "", **words: str) -> ErrorPage:
    [*_, last] = [page async for page in inspector.errors(query, **words)]
    return last


async def test_failed_tasks_of_all_queues_are_grouped_by_their_error(inspector: Inspector, state: State):
    failed_at = int(state.now)
    for queue in ("low", "high"):
        keys = state.queue(queue)
        for number in range(600):
            trace = {"rota_traceback": f"{failed_at}\n{TRACE}"}
            error = {"error_msg": f"ValueError: {number}", "last_failed_at": failed_at}
            state.task(keys, f"r{number}", "retry", trace, type="charge", **error)
        state.task(keys, "g", "archived", type="go", error_msg="dial tcp 10.0.0.1:80: refused")
        state.task(keys, "ok", "completed", type="go", error_msg="earlier")
        state.task(keys, "fine", "retry")
    page = await last_page(inspector)
    assert [(group.type, group.place, group.tasks) for group in page.groups] == [
        ("charge", "shop/tasks.py:charge", 1200),
        ("go", "", 2),
    ]
    charge, go = page.groups
    assert (charge.exception, charge.line, sum(charge.trend)) == ("ValueError", "shop/tasks.py:3 in charge", 1200)
    assert (go.text, go.last_at, go.queues) == ("dial tcp <address>: refused", None, {"high": 1, "low": 1})
    assert page.tasks == 1202
    assert page.scanned == page.total == 1204


async def test_query_chooses_which_errors_are_grouped(inspector: Inspector, state: State):
    keys = state.queue()
    state.task(keys, "a", "retry", error_msg="one")
    state.task(keys, "b", "completed", error_msg="two")
    assert [group.text for group in (await last_page(inspector, "state:completed")).groups] == ["two"]


@pytest.mark.parametrize(("within", "found"), [("1h", 0), (None, 1)])
async def test_traceback_of_an_earlier_failure_does_not_place_an_error(
    inspector: Inspector, state: State, within: str | None, found: int
):
    trace = {"rota_traceback": f"1600000000\n{TRACE}"}
    state.task(state.queue(), "a", "retry", trace, error_msg="ValueError: 1", last_failed_at=1700000000)
    page = await last_page(inspector, **({"within": within} if within else {}))
    assert [group.place for group in page.groups] == [""] * found
