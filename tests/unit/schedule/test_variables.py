"""Variables in the texts of a payload."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rota.schedule.variables import VARIABLES, filled, unknown_variables


def fill(payload: dict[str, Any]) -> dict[str, Any]:
    return filled(
        payload,
        planned_at=datetime(2026, 3, 1, 1, 30, tzinfo=UTC),
        timezone="Europe/Berlin",
        schedule="nightly",
        run="id-7",
    )


def test_variables_are_replaced_at_any_depth() -> None:
    assert fill({"a": "{{schedule}} at {{ planned_at }}", "b": [{"c": "{{run}}"}]}) == {
        "a": "nightly at 2026-03-01T02:30:00+01:00",
        "b": [{"c": "id-7"}],
    }


def test_other_values_and_keys_stay_as_they_are() -> None:
    payload = {"{{run}}": 1, "big": 2**70, "none": None, "share": 0.5, "yes": True, "brace": "{run} {{ }"}

    assert fill(payload) == payload


def test_escaped_variable_is_sent_as_it_is() -> None:
    assert fill({"a": r"Hello \{{user}}, \{{run}}"}) == {"a": "Hello {{user}}, {{run}}"}
    assert not list(unknown_variables("payload", {"a": r"Hello \{{user}}"}))


def test_value_that_looks_like_a_variable_is_not_replaced_again() -> None:
    done = filled({"a": "{{schedule}}"}, planned_at=datetime.now(UTC), timezone="UTC", schedule="{{run}}", run="x")

    assert done == {"a": "{{run}}"}


@pytest.mark.parametrize("word", ["shedule", "", "planned_at + 1", "PLANNED_AT"])
def test_unknown_variable_is_found_at_its_path(word: str) -> None:
    [(path, text)] = unknown_variables("payload", {"a": ["{{run}}", {"b": "x {{" + word + "}}"}]})

    assert path == "payload.a.1.b"
    assert f"holds {{{{{word}}}}}, which is not a variable." in text
    assert rf"\{{{{{word}}}}}" in text


def test_each_documented_variable_is_filled() -> None:
    for name in VARIABLES:
        assert "{{" not in fill({"a": "{{" + name + "}}"})["a"]


def test_text_full_of_braces_is_searched_in_linear_time() -> None:
    # With a search that takes quadratic time, this test would take half an hour.
    text = "{{" * 500_000

    assert fill({"a": text}) == {"a": text}
    assert not list(unknown_variables("payload", {"a": text}))


def test_variable_after_open_braces_is_replaced() -> None:
    assert fill({"a": "{{ {{run}}"}) == {"a": "{{ id-7"}
