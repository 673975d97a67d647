"""Which handler takes which task type."""

from dataclasses import dataclass

import pytest

from rota.errors import RoutingError
from rota.tasks.routing import Matching, Registry, advise, candidates, check_name


@dataclass
class Named:
    type: str


def registry(*names: str, matching: Matching = "segments") -> Registry[Named]:
    made: Registry[Named] = Registry(matching)
    for name in names:
        made.add(Named(name))
    return made


def found(routes: Registry[Named], type: str) -> str | None:
    route = routes.find(type)
    return None if route is None else route.type


@pytest.mark.parametrize(
    ("type", "taken_by"),
    [
        ("email:send", "email:send"),
        ("email:send:1", "email:send"),
        ("email:send:1:eu", "email:send"),
        ("email:sender", "email:"),
        ("email:other", "email:"),
        ("email:", "email:"),
        ("email", None),
        ("emailer:send", None),
        ("other", None),
    ],
)
def test_the_exact_name_wins_then_the_longest_prefix_at_a_colon(type: str, taken_by: str | None) -> None:
    assert found(registry("email:", "email:send"), type) == taken_by


@pytest.mark.parametrize(
    ("type", "taken_by"),
    [
        ("email:send:v2", None),
        ("email:send:v2:eu", None),
        ("email:send:v3", "email:send:v3"),
        ("email:send:v3:eu", "email:send:v3"),
        ("email:send:version", "email:send"),
    ],
)
def test_a_version_must_be_registered_to_be_taken(type: str, taken_by: str | None) -> None:
    assert found(registry("email:send", "email:send:v3"), type) == taken_by


@pytest.mark.parametrize(
    ("type", "taken_by"),
    [("email", "email"), ("emailer:send", "email"), ("email:send", "email:s"), ("emai", None)],
)
def test_asynqs_mode_matches_plain_string_prefixes(type: str, taken_by: str | None) -> None:
    assert found(registry("email", "email:s", matching="asynq"), type) == taken_by


def test_asynqs_mode_takes_any_name_but_a_blank_one() -> None:
    assert len(registry("Email.Send", matching="asynq")) == 1
    with pytest.raises(RoutingError, match="blank"):
        registry(" ", matching="asynq")


def test_a_type_has_one_handler() -> None:
    with pytest.raises(RoutingError, match="registered already, by Named"):
        registry("email:send", "email:send")


def test_a_later_registration_is_seen_at_once() -> None:
    routes = registry("email:")
    assert found(routes, "email:send") == "email:"

    routes.add(Named("email:send"))

    assert found(routes, "email:send") == "email:send"


def test_names_with_ids_do_not_fill_the_memory() -> None:
    routes = registry("email:send")
    for number in range(10_000):
        assert found(routes, f"email:send:{number}") == "email:send"

    assert len(routes._found) <= 4096


@pytest.mark.parametrize("name", ["email:welcome", "a", "a1:b-c:d_e", "image:resize:v2", "9to5:run"])
def test_a_good_name_is_taken(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "blank"),
        ("  ", "blank"),
        ("email send", "white space"),
        ("Email:send", "capital letters"),
        ("email::send", "empty segment"),
        (":send", "empty segment"),
        ("email.send", "'.' cannot stand in a segment"),
        ("email:-send", "'-' cannot stand at the start of a segment"),
        ("émail:send", "'é' cannot stand"),
        ("v2:email", "begins with a version"),
    ],
)
def test_a_bad_name_is_refused_with_the_reason_and_the_way_out(name: str, reason: str) -> None:
    with pytest.raises(RoutingError, match=reason) as caught:
        check_name(name)
    assert "lint=False" in str(caught.value)


def test_a_name_of_another_program_can_be_served() -> None:
    routes: Registry[Named] = Registry()
    routes.add(Named("Email.Send"), lint=False)

    assert found(routes, "Email.Send") == "Email.Send"


def test_poor_names_get_advice_and_good_ones_none() -> None:
    assert "no namespace" in advise("cleanup")[0]
    assert "says nothing" in advise("test:job")[0]
    assert advise("email:welcome:v2") == []
    assert registry("email:welcome", "cleanup").advice() == advise("cleanup")


def test_candidates_come_the_best_first() -> None:
    assert list(candidates("a:b:c")) == ["a:b:c", "a:b:", "a:b", "a:", "a"]
    assert list(candidates("a:v2:c")) == ["a:v2:c", "a:v2:", "a:v2"]
    assert list(candidates("abc", "asynq")) == ["abc", "ab", "a"]
