from datetime import UTC, datetime
from typing import Any

import pytest

from rota.inspect.match import Matcher
from rota.inspect.query_parser import parse
from rota.inspect.search_scope import Scope, new_scope
from rota.wire.keys import Keys
from rota.wire.scan import Sizes


def scope_of(query: str, *answers: Any) -> Scope:
    """Give these answers to the requests of a search that begins."""
    act = new_scope(Keys(), Matcher(parse(query), datetime.now(UTC)))
    next(act)
    try:
        for answer in answers:
            act.send(answer)
    except StopIteration as end:
        return end.value
    raise AssertionError("it asks for more")


@pytest.mark.parametrize("query", ["state:retry id:a after:1h", "state:completed id:a"])
def test_search_starts_at_the_time_of_the_server(query: str) -> None:
    scope = scope_of(query, (b"0", [b"mail"]), Sizes(123.5, [0]))

    assert (scope.queues, scope.started, scope.total) == (["mail"], 123.5, 1)


def test_search_of_a_server_without_queues_starts_too() -> None:
    assert scope_of("x", (b"0", [])).total == 0
