from datetime import UTC, datetime, timedelta

import pytest

from rota.errors import OptionError
from rota.wire.option_text import TextOption, Value, parse, render

WRITTEN_BY_GO: list[tuple[str, Value, str]] = [
    ("MaxRetry", 5, "MaxRetry(5)"),
    ("Queue", 'a"b', r'Queue("a\"b")'),
    ("TaskID", "nightly:2024", 'TaskID("nightly:2024")'),
    ("Group", "user (7)", 'Group("user (7)")'),
    ("Timeout", timedelta(minutes=90), "Timeout(1h30m0s)"),
    ("Timeout", timedelta(seconds=1.5), "Timeout(1.5s)"),
    ("Timeout", timedelta(0), "Timeout(0s)"),
    ("Timeout", timedelta(microseconds=20), "Timeout(20µs)"),
    ("Unique", timedelta(hours=1), "Unique(1h0m0s)"),
    ("ProcessIn", timedelta(seconds=-5), "ProcessIn(-5s)"),
    ("Retention", timedelta(days=1), "Retention(24h0m0s)"),
    ("Deadline", datetime(2024, 3, 5, 6, 7, 8, tzinfo=UTC), "Deadline(Tue Mar  5 06:07:08 UTC 2024)"),
    ("ProcessAt", datetime(2024, 12, 15, 23, 59, 59, tzinfo=UTC), "ProcessAt(Sun Dec 15 23:59:59 UTC 2024)"),
    ("Header", ("k", "v"), 'Header(["k","v"])'),
    ("Header", ("<&>", "é\u2028\x7f\v"), 'Header(["\\u003c\\u0026\\u003e","é\\u2028\x7f\\u000b"])'),
]


@pytest.mark.parametrize(("name", "value", "text"), WRITTEN_BY_GO)
def test_an_option_is_written_and_read_as_go_writes_it(name: str, value: Value, text: str):
    assert render(TextOption(name, value)) == text
    assert parse(text) == TextOption(name, value)


@pytest.mark.parametrize("queue", ["a)b", "a(b", "(", ")", '")', "a\nb"])
def test_brackets_in_an_argument_do_not_end_the_option(queue: str):
    assert parse(render(TextOption("Queue", queue))) == TextOption("Queue", queue)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Queue",
        "Queue()",
        "Queue(low)",
        "Priority(3)",
        "MaxRetry(many)",
        'Header(["k"])',
        "Header({})",
        "Timeout(5)",
    ],
)
def test_text_that_is_no_option_is_named_in_the_error(text: str):
    with pytest.raises(OptionError) as caught:
        parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    "option",
    [TextOption("MaxRetry", "5"), TextOption("Queue", 5), TextOption("Timeout", 5), TextOption("Color", "red")],
)
def test_a_value_of_the_wrong_kind_is_refused(option: TextOption):
    with pytest.raises(OptionError, match=f"{option.name} does not take"):
        render(option)
