"""Retry, Unique and Debounce: values that can be tested without a server."""

import random
from datetime import timedelta
from typing import Any

import pytest

from rota.errors import OptionError, PayloadError, RetryLater, Revoke, SkipRetry, instruction
from rota.tasks.policy import Debounce, Retry, Unique

BROKEN = RuntimeError("broken")
TEN_YEARS = timedelta(days=3650).total_seconds()


class Highest:
    """Draws the highest number there is."""

    def random(self) -> float:
        return 1.0

    def randrange(self, start: int, /) -> int:
        return start - 1


def seconds(retry: Retry, retried: int, error: BaseException = BROKEN, rng: Any = None) -> float:
    return retry.next_delay(retried, error, rng or Highest()).total_seconds()


def test_the_default_is_asynqs_formula_and_number() -> None:
    assert Retry().max == 25
    assert seconds(Retry(), 0) == 15 + 29
    assert seconds(Retry(), 3) == 81 + 15 + 29 * 4


def test_an_exponential_backoff_doubles_up_to_its_cap() -> None:
    retry = Retry(backoff="exponential", base="2s", cap="10s")

    assert [seconds(retry, n) for n in range(5)] == [2, 4, 8, 10, 10]
    assert seconds(Retry(backoff="exponential", base="300d"), 10_000) == timedelta(days=3650).total_seconds()


def test_a_linear_backoff_grows_by_its_base() -> None:
    assert [seconds(Retry(backoff="linear", base="5s"), n) for n in range(3)] == [5, 10, 15]


def test_jitter_adds_up_to_its_share() -> None:
    retry = Retry(backoff="linear", base="10s", jitter=0.5)

    assert seconds(retry, 0) == 15
    assert all(10 <= seconds(retry, 0, rng=random.Random(seed)) <= 15 for seed in range(50))


def test_a_constant_delay_and_an_own_function_replace_the_backoff() -> None:
    assert seconds(Retry(delay="3s"), 9) == 3
    assert seconds(Retry(delay=lambda retried, error: f"{retried + 1}m"), 1) == 120
    assert seconds(Retry(delay="10s", jitter=0.1), 0) == 11


@pytest.mark.parametrize(
    ("retry", "retried", "expected"),
    [
        (Retry(cap="1m"), 3050, 60),
        (Retry(), 3050, TEN_YEARS),
        (Retry(), 2**31 - 1, TEN_YEARS),
        (Retry(backoff="linear", base="1000d", cap="1m"), 10**9, 60),
        (Retry(backoff="linear", base="1000d"), 10**9, TEN_YEARS),
        (Retry(backoff="exponential", base=timedelta.max, jitter=1), 2, TEN_YEARS),
        (Retry(delay=timedelta.max, jitter=1), 2, TEN_YEARS),
        (Retry(delay=timedelta.max, cap="1m"), 2, 60),
        (Retry(delay=lambda retried, error: 2**retried, cap="1m"), 2000, 60),
        (Retry(delay=lambda retried, error: float("inf")), 0, TEN_YEARS),
        (Retry(delay=lambda retried, error: timedelta.max, jitter=1, cap="1h"), 0, 3600),
    ],
)
def test_a_delay_that_no_timedelta_holds_is_capped_and_ten_years_at_most(
    retry: Retry, retried: int, expected: float
) -> None:
    assert seconds(retry, retried) == expected


@pytest.mark.parametrize(
    ("error", "retry", "decides"),
    [
        (ExceptionGroup("g", [SkipRetry()]), Retry(), False),
        (ExceptionGroup("g", [ValueError(), ExceptionGroup("h", [SkipRetry()])]), Retry(), False),
        (ExceptionGroup("g", [ValueError(), KeyError()]), Retry(never=KeyError), False),
        (ExceptionGroup("g", [ValueError(), KeyError()]), Retry(never=OSError), True),
        (ExceptionGroup("g", [KeyError()]), Retry(never=ExceptionGroup), False),
        (ExceptionGroup("g", [ConnectionError(), TimeoutError()]), Retry(only=OSError), True),
        (ExceptionGroup("g", [ConnectionError(), ValueError()]), Retry(only=OSError), False),
        (ExceptionGroup("g", [ValueError()]), Retry(only=ExceptionGroup), True),
        (ExceptionGroup("g", [ValueError(), PayloadError("bad")]), Retry(), False),
    ],
)
def test_a_group_is_judged_by_the_errors_in_it(error: Exception, retry: Retry, decides: bool) -> None:
    assert retry.decides(error) is decides


def test_the_most_final_instruction_of_a_group_holds() -> None:
    skip, revoke, later = SkipRetry(), Revoke(), RetryLater(1)

    assert instruction(ValueError()) is None
    assert instruction(later) is later
    assert instruction(ExceptionGroup("g", [ValueError(), ExceptionGroup("h", [later])])) is later
    assert instruction(ExceptionGroup("g", [later, revoke])) is revoke
    assert instruction(ExceptionGroup("g", [later, revoke, skip])) is skip


def test_an_own_function_that_returns_nonsense_is_named() -> None:
    with pytest.raises(OptionError, match=r"the delay that Retry\(delay=...\) returned is 'soon'"):
        Retry(delay=lambda retried, error: "soon").next_delay(0, BROKEN)


def test_only_and_never_choose_by_class_and_never_wins() -> None:
    retry = Retry(only=OSError, never=[FileNotFoundError])

    assert retry.decides(ConnectionError())
    assert not retry.decides(FileNotFoundError())
    assert not retry.decides(ValueError())


def test_a_payload_that_does_not_fit_and_skip_retry_are_not_tried_again() -> None:
    assert not Retry().decides(PayloadError("bad"))
    assert not Retry().decides(SkipRetry())
    assert Retry(only=PayloadError).decides(PayloadError("bad"))


def test_an_error_that_is_no_failure_does_not_count() -> None:
    retry = Retry(is_failure=lambda error: not isinstance(error, TimeoutError))

    assert retry.counts(BROKEN)
    assert not retry.counts(TimeoutError())


def test_a_number_is_a_retry_policy() -> None:
    assert Retry.of(3) == Retry(3) == Retry(max=3)
    assert Retry.of(Retry(max=0)).max == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"max": -1}, "from 0 to"),
        ({"max": True}, "whole number"),
        ({"max": 2**31}, "from 0 to"),
        ({"backoff": "exponentil"}, "Did you mean 'exponential'"),
        ({"base": "5s"}, "Asynq's formula has its own"),
        ({"jitter": 0.5}, "Asynq's formula has its own"),
        ({"delay": "5s", "backoff": "linear"}, "give one of them"),
        ({"delay": "5s", "base": "5s"}, "give one of them"),
        ({"jitter": 2, "backoff": "linear"}, "share from 0 to 1"),
        ({"only": [1]}, "no exception class"),
        ({"never": "ValueError"}, "no exception class"),
        ({"only": OSError, "never": OSError}, "in only= and in never="),
    ],
)
def test_a_wrong_retry_is_refused_with_the_reason(words: dict[str, Any], reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        Retry(**words)


def test_policies_are_frozen_comparable_and_hashable() -> None:
    assert Unique("10m") == Unique(600)
    assert len({Unique("10m"), Unique(600), Unique("5m")}) == 2
    assert hash(Retry()) == hash(Retry())
    with pytest.raises(AttributeError):
        Unique("10m").scope = "queued"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"ttl": "500ms"}, "at least 1s"),
        ({"ttl": "1m", "scope": "queue"}, "Did you mean 'queued'"),
        ({"ttl": "1m", "on_conflict": "rais"}, "Did you mean 'raise'"),
        ({"ttl": "1m", "key": " "}, "blank"),
    ],
)
def test_a_wrong_unique_is_refused_with_the_reason(words: dict[str, Any], reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        Unique(**words)


def test_a_key_takes_the_arguments_it_names() -> None:
    assert Unique("1m", key="user-{user_id}").bound({"user_id": 7}).key == "user-7"
    assert Debounce("user-{user_id}", "1s").bound({"user_id": 7}) == Debounce("user-7", "1s")
    same = Unique("1m", key="all")
    assert same.bound({"user_id": 7}) is same


def test_a_key_that_names_no_argument_is_refused() -> None:
    with pytest.raises(OptionError, match="names no argument"):
        Unique("1m", key="{usr_id}").bound({"user_id": 7})


def test_a_debounce_cannot_wait_longer_than_its_longest_wait() -> None:
    with pytest.raises(OptionError, match="shorter than wait"):
        Debounce("a", "10s", "5s")
    with pytest.raises(OptionError, match="nothing would be joined"):
        Debounce("a", 0)
